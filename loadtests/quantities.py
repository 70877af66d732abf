"""What a command is given, checked before anything starts."""

from pathlib import Path

from loadtests.options import OptionError


def whole(name: str, text: str, least: int, most: int) -> int:
    """Raises OptionError for what is no whole number, or one outside."""
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise OptionError(f"{name}={text}: a whole number from {least:,} to {most:,} is needed")


def decimal(name: str, text: str, least: float, most: float) -> float:
    """Raises OptionError for what is no number, or one outside."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if least <= value <= most:
        return value
    raise OptionError(f"{name}={text}: a number from {least:g} to {most:g} is needed")


def folder(name: str, text: str) -> Path:
    """Raises OptionError for the name of a file."""
    if Path(text).exists() and not Path(text).is_dir():
        raise OptionError(f"{name}={text}: there is a file of this name")
    return Path(text)
