"""Requests that are answered: each question in every form that a client has, and fields said in other words."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote, quote_plus, urlencode

from loadtests.equality.probes import JSON, Probe, get, post
from loadtests.equality.questions import Named

ACCEPT = ("Accept", "text/event-stream")
LONGEST_TARGET = 4000
EVENTS_ACCEPTED = (
    "text/event-stream",
    "text/event-stream, */*",
    "text/html, text/event-stream;q=0.9",
    "Text/Event-Stream",
)
EVENTS_NOT_ACCEPTED = ("application/json", "*/*", "text/*", "", "text/plain")
TRUE = (True, 1, "true", "True", "1", "yes", "on", "t", "y")
FALSE = (False, 0, "false", "0", "no", "off", "f", "n")


def forms(asked: Named) -> Iterator[Probe]:
    """A question by POST as a client without streams sends it, as one with streams does, and by GET."""
    return (replace(probe, valid=True) for probe in _forms(asked))


def _forms(asked: Named) -> Iterator[Probe]:
    for name, chat in asked:
        given = chat.model_dump(mode="json", exclude_defaults=True)
        yield post(f"POST: {name}", given)
        yield post(f"stream false: {name}", {**given, "stream": False})
        yield post(f"stream true: {name}", {**given, "stream": True})
        yield post(f"Accept: {name}", given, ACCEPT)
        target = f"/chat?{urlencode(given)}"
        if chat.prompt is not None and len(target) < LONGEST_TARGET:
            yield get(f"GET: {name}", target)


def variants() -> Iterator[Probe]:
    """The same said otherwise: flags, numbers, white space, encodings, chunks."""
    yield from _flags()
    yield from _numbers()
    yield from _bodies()
    yield from _queries()
    for accepted in EVENTS_ACCEPTED:
        yield post(f"Accept: by {accepted}", _asking(), ("Accept", accepted))
    for accepted in EVENTS_NOT_ACCEPTED:
        yield post(f"accept header: {accepted or 'empty'}", _asking(), ("Accept", accepted))


def _asking(**fields: object) -> dict[str, object]:
    return {"prompt": "Say a word.", "max_tokens": 5, **fields}


def _flags() -> Iterator[Probe]:
    for value in TRUE:
        yield post(f"stream true: as {value!r}", _asking(stream=value))
    for value in FALSE:
        yield post(f"stream false: as {value!r}", _asking(stream=value))
    for word in ("true", "false", "1", "0"):
        yield get(f"GET: stream is {word}", f"/chat?prompt=hi&max_tokens=5&stream={word}")


def _numbers() -> Iterator[Probe]:
    for text in ("5", "5.0", "5e0", '"5"', "500e-2"):
        yield post(f"max_tokens: as {text}", f'{{"prompt":"hi","max_tokens":{text}}}'.encode())
    for text in ("0", "-0.0", "2", "1e0", '"0.5"', "2.0000000000000000001", "1e-400"):
        body = f'{{"prompt":"hi","max_tokens":5,"temperature":{text}}}'
        yield post(f"temperature: as {text}", body.encode())
    for name in ("messages", "model", "temperature", "max_tokens"):
        yield post(f"null: {name}", {**_asking(), name: None})
    yield post("null: prompt beside messages", {"prompt": None, "messages": [_MESSAGE]})


def _bodies() -> Iterator[Probe]:
    short = b'{"prompt":"hi","max_tokens":5}'
    spaced = b' \n\t{ "prompt" : "hi" ,\r\n "max_tokens" : 5 }\n '
    yield post("body: white space", spaced)
    yield post("body: escaped letters", b'{"pr\\u006fmpt":"\\u00fc \\ud83d\\ude00","max_tokens":5}')
    yield post("body: raw letters", '{"prompt":"ü 😀","max_tokens":5}'.encode())
    yield post("body: an escaped NUL", b'{"prompt":"a\\u0000b","max_tokens":5}')
    yield post("body: a key twice", b'{"prompt":"one","prompt":"two","max_tokens":5}')
    yield Probe("body: in chunks", "POST", headers=(JSON,), parts=(short,))
    yield Probe("body: a byte a chunk", "POST", headers=(JSON,), parts=tuple(_bytes(short)))
    for kind in (
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "APPLICATION/JSON",
        "Application/Json ; a=b",
        "application/json; charset=latin-1",
        "application/json;",
        " application/json",
        "application/json; =; ;",
    ):
        yield Probe(f"taken as JSON: {kind}", "POST", "/chat", (("Content-Type", kind),), short)


def _queries() -> Iterator[Probe]:
    for name, text in (
        ("plus signs", quote_plus("a b c")),
        ("percent signs", quote("a b/c?d&e=f")),
        ("every letter escaped", "%68%69"),
        ("a lone percent sign", "100%"),
        ("a wrong escape", "%zz%2"),
        ("bytes that are no UTF-8", "%ff%fe"),
        ("a surrogate in UTF-8", "%ed%a0%80"),
        ("a NUL", "a%00b"),
        ("a line end", "a%0d%0ab"),
        ("an equals sign", "a=b=c"),
        ("a semicolon", "a;max_tokens=1"),
    ):
        yield get(f"GET: a prompt with {name}", f"/chat?max_tokens=5&prompt={text}")
    yield get("GET: an escaped name", "/chat?%70rompt=hi&max_tokens=5")
    yield get("GET: empty parts", "/chat?&&prompt=hi&&max_tokens=5&")
    yield get("GET: a fraction that is whole", "/chat?prompt=hi&max_tokens=5.0")
    yield get("GET: a number in spaces", "/chat?prompt=hi&max_tokens=%205%20")
    yield get("GET: a number with a sign", "/chat?prompt=hi&max_tokens=%2B5")
    yield get("GET: a number with underlines", "/chat?prompt=hi&max_tokens=1_0")
    yield get("GET: an exponent", "/chat?prompt=hi&max_tokens=5&temperature=1e0")


def _bytes(body: bytes) -> Iterator[bytes]:
    return (bytes((value,)) for value in body)


_MESSAGE = {"role": "user", "content": "hi"}
