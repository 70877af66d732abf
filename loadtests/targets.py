"""Endpoints to load, described by a TOML file: how a request looks and where the answer is."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

import msgspec

from loadtests import templates
from loadtests.templates import TemplateError
from shared.schemas import ChatRequest

OUR_STACKS = Path(__file__).parents[1] / "examples" / "our_stacks.toml"


class TargetsError(Exception):
    """A description cannot be used; the message is one line that names the file and the entry."""


class AnswerPaths(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dotted paths into the JSON of a batch answer, such as `choices.0.message.content`."""

    text: str
    finish_reason: str | None = None
    usage: str | None = None
    id: str | None = None
    model: str | None = None


class EventPaths(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a stream's events have what: names of events, and dotted paths into the JSON of their data.

    Without `text_event` every event is looked at for text. The end is `done_event` or the literal `done_data`;
    a failure is `failure_event`, or any event that has something at `failure_path`.
    """

    text: str
    text_event: str | None = None
    done_event: str | None = None
    done_data: str | None = None
    failure_event: str | None = None
    failure_path: str | None = None
    failure_code: str | None = None
    finish_reason: str | None = None
    usage: str | None = None
    id: str | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        if self.done_event is None and self.done_data is None:
            raise ValueError(
                "a stream needs done_event or done_data, to tell its end from a broken connection"
            )


class ErrorPaths(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an error body has its code."""

    code: str


class _Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: dict[str, str] = {}
    query: dict[str, Any] = {}
    body: Any = None
    error: ErrorPaths | None = None

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or any(c in self.path for c in " ?#\r\n"):
            raise ValueError("path must start with / and have no spaces, ? or # (see query)")
        if self.method == "GET" and self.body is not None:
            raise ValueError("a GET has no body; use query")
        if not all(_is_token(name) for name in self.headers):
            raise ValueError("a header's name has a character that is not allowed")


class LegacySide(_Side, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The batch endpoint."""

    answer: AnswerPaths


class StreamingSide(_Side, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The streaming endpoint."""

    events: EventPaths


SideT = TypeVar("SideT", LegacySide, StreamingSide)


class Targets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both sides; `same_contract` when statuses, errors, ids and usage are promised to be the same.

    Without `same_answers` the model may answer the same question differently each time: then only whether both
    sides answer, and whether the stream is one, can be compared.
    """

    legacy: LegacySide
    streaming: StreamingSide
    same_contract: bool = False
    same_answers: bool = True

    def __post_init__(self) -> None:
        if self.same_contract and not self.same_answers:
            raise ValueError("same_contract promises the same answers")


class Request(msgspec.Struct, frozen=True):
    """An HTTP request ready to be sent; `target` is path and query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def load_targets(
    path: Path | str | None = None, environment: Mapping[str, str] | None = None
) -> Targets:
    """Reads a description, ours by default, and puts the environment's values into its headers.

    Raises TargetsError. `environment` is the process's own unless it is given.
    """
    chosen = OUR_STACKS if path is None else Path(path)
    try:
        written = tomllib.loads(chosen.read_text(encoding="utf-8"))
        targets = msgspec.convert(written, Targets)
        return _checked(targets, os.environ if environment is None else environment)
    except OSError as error:
        raise TargetsError(f"{chosen}: {error.strerror}") from None
    except (
        tomllib.TOMLDecodeError,
        UnicodeDecodeError,
        msgspec.MsgspecError,
        TemplateError,
    ) as error:
        raise TargetsError(f"{chosen}: {' '.join(str(error).split())}") from None


def request_for(side: LegacySide | StreamingSide, chat: ChatRequest, request_id: str) -> Request:
    """The HTTP request that asks a side for an answer, with its X-Request-ID."""
    headers = {"X-Request-ID": request_id, **side.headers}
    body = b""
    if side.body is not None:
        body = msgspec.json.encode(templates.render(side.body, chat))
        if not any(name.lower() == "content-type" for name in side.headers):
            headers["Content-Type"] = "application/json"
    query = urlencode(templates.render(side.query, chat))
    target = f"{side.path}?{query}" if query else side.path
    return Request(side.method, target, headers, body)


def _checked(targets: Targets, environment: Mapping[str, str]) -> Targets:
    return msgspec.structs.replace(
        targets,
        legacy=_resolved("legacy", targets.legacy, environment),
        streaming=_resolved("streaming", targets.streaming, environment),
    )


def _resolved(name: str, side: SideT, environment: Mapping[str, str]) -> SideT:
    entry = f"{name}.body"
    try:
        templates.check(side.body)
        entry = f"{name}.query"
        templates.check(side.query)
        resolved = {}
        for header, value in side.headers.items():
            entry = f"{name}.headers.{header}"
            resolved[header] = templates.resolve(value, environment)
    except TemplateError as error:
        raise TemplateError(f"{entry}: {error}") from None
    return msgspec.structs.replace(side, headers=resolved)


def _is_token(name: str) -> bool:
    """A field name by RFC 9110, section 5.1."""
    return (
        bool(name) and name.isascii() and all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in name)
    )
