"""What an HTTP answer says, by the description of a target: a batch body or a stream of events; pure."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from loadtests.json_path import JsonPath
from loadtests.sse_reader import ServerEvent, SseReader
from loadtests.targets import AnswerPaths, ErrorPaths, EventPaths

_decode = msgspec.json.Decoder().decode
MAX_CODE_CHARS = 60


@dataclass(slots=True)
class Answer:
    """An answer as far as it has come; `error` is a short code, None when it is whole."""

    text: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Any = None
    id: str | None = None
    model: str | None = None
    error: str | None = None
    chunk_ns: list[int] = field(default_factory=list)

    @property
    def completion_tokens(self) -> int | None:
        """Tokens of the answer as the endpoint counted them, where it tells."""
        counted = self.usage.get("completion_tokens") if isinstance(self.usage, dict) else None
        return counted if isinstance(counted, int) else None


class Facts:
    """The paths that a batch body and the events of a stream have alike."""

    def __init__(self, paths: AnswerPaths | EventPaths) -> None:
        wanted = ("finish_reason", "usage", "id", "model")
        named = {name: getattr(paths, name) for name in wanted}
        self._paths = [(name, JsonPath(path)) for name, path in named.items() if path]

    def note(self, answer: Answer, value: Any) -> None:
        """Keeps what is there; the last one that is not null counts."""
        for name, path in self._paths:
            found = path.find(value)
            if found is not None:
                setattr(answer, name, found)


class BatchReading:
    """Reads a body that is one JSON value."""

    def __init__(self, paths: AnswerPaths) -> None:
        self._text = JsonPath(paths.text)
        self._facts = Facts(paths)

    def read(self, body: bytes) -> Answer:
        """The answer in a body; its error is `not_json` or `no_text` when it has none."""
        answer = Answer()
        try:
            value = _decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            answer.error = "not_json"
            return answer
        text = self._text.find(value)
        if isinstance(text, str):
            answer.text.append(text)
        else:
            answer.error = "no_text"
        self._facts.note(answer, value)
        return answer


class StreamRules:
    """The description of a stream, split and bound once for all its readings."""

    def __init__(self, paths: EventPaths) -> None:
        self.paths = paths
        self.text = JsonPath(paths.text)
        self.facts = Facts(paths)
        self.failure = JsonPath(paths.failure_path) if paths.failure_path else None
        self.failure_code = JsonPath(paths.failure_code) if paths.failure_code else None


class StreamReading:
    """Folds one stream while its bytes come."""

    def __init__(self, rules: StreamRules) -> None:
        self._rules = rules
        self._sse = SseReader()
        self.answer = Answer(error="unfinished")

    def feed(self, chunk: bytes, now_ns: int) -> bool:
        """Takes the bytes of one socket read, made at `now_ns`; true once the stream has said its last."""
        return any(self._take(event) for event in self._sse.feed(chunk, now_ns))

    def _take(self, event: ServerEvent) -> bool:
        paths = self._rules.paths
        if event.data == paths.done_data:
            self.answer.error = None
            return True
        try:
            value = _decode(event.data)
        except msgspec.MsgspecError:
            return self._failed("bad_event")
        if event.name == paths.failure_event or self._has_failure(value):
            return self._failed(self._code_in(value))
        if paths.text_event is None or event.name == paths.text_event:
            self._add(self._rules.text.find(value), event.at_ns)
        self._rules.facts.note(self.answer, value)
        if paths.done_event is not None and event.name == paths.done_event:
            self.answer.error = None
            return True
        return False

    def _add(self, text: Any, at_ns: int) -> None:
        if isinstance(text, str) and text:
            self.answer.text.append(text)
            self.answer.chunk_ns.append(at_ns)

    def _has_failure(self, value: Any) -> bool:
        failure = self._rules.failure
        return failure is not None and failure.find(value) is not None

    def _code_in(self, value: Any) -> str:
        code = self._rules.failure_code.find(value) if self._rules.failure_code else None
        return f"failure:{code}"[:MAX_CODE_CHARS] if code is not None else "failure"

    def _failed(self, code: str) -> bool:
        self.answer.error = code
        return True


def refusal_code(status: int, body: bytes, paths: ErrorPaths | None) -> str:
    """A short code for an answer that is not a 200: its status, and its own code where there is one."""
    try:
        code = JsonPath(paths.code).find(_decode(body)) if paths else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        code = None
    return f"http_{status}:{code}"[:MAX_CODE_CHARS] if code is not None else f"http_{status}"
