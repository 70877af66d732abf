"""Dotted paths into decoded JSON, such as `choices.0.delta.content`."""

from typing import Any


class JsonPath:
    """A path split once; numbers index lists, other steps are keys of objects."""

    __slots__ = ("_steps", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps = text.split(".")

    def find(self, value: Any) -> Any:
        """What is at the path, or None when there is nothing."""
        for step in self._steps:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            else:
                return None
        return value
