"""The scripts in `lua/`: what has to happen in Redis at once, or not at all."""

import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError

from .redis_pipe import Part, Pipe


# region: scripts
class Script:
    """A file of `lua/`, with what all scripts about frames begin with where it is about frames."""

    def __init__(self, pipe: Pipe, *names: str) -> None:
        folder = resources.files("fastapi_app") / "lua"
        self._pipe = pipe
        self._text = "".join((folder / f"{name}.lua").read_text("utf-8") for name in names)
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[Part], *arguments: Part) -> Any:
        given = (len(keys), *keys, *arguments)
        try:
            return await self._pipe.ask("EVALSHA", self._sha, *given)
        except NoScriptError:
            return await self._pipe.ask("EVAL", self._text, *given)


class Scripts:
    """The scripts; each says in its own file what it takes and gives."""

    def __init__(self, pipe: Pipe) -> None:
        self.add = Script(pipe, "add")
        self.claim = Script(pipe, "frames", "claim")
        self.append = Script(pipe, "frames", "append")
        self.end = Script(pipe, "frames", "end")
        self.look = Script(pipe, "frames", "look")
        self.read = Script(pipe, "frames", "read")
        self.release = Script(pipe, "release")
