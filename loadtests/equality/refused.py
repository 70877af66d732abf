"""Requests that are refused for what they say: bodies that are no JSON, fields that are wrong, bad queries."""

import json
from collections.abc import Iterator

from loadtests.equality.probes import JSON, Probe, get, post

MAX_BODY_BYTES = 64 * 1024
"""What the stacks of a whole run take."""

SECRET = "a prompt that no error may repeat"
MESSAGE = {"role": "user", "content": SECRET}
LONG = "9" * 400
VALUES: tuple[tuple[str, str], ...] = (
    ("null", "null"),
    ("true", "true"),
    ("zero", "0"),
    ("one below zero", "-1"),
    ("a fraction", "1.5"),
    ("a huge integer", LONG),
    ("a huge exponent", "1e400"),
    ("beyond 64 bits", "18446744073709551616"),
    ("NaN", "NaN"),
    ("Infinity", "-Infinity"),
    ("empty text", '""'),
    ("text", f'"{SECRET}"'),
    ("text of 129 characters", f'"{"m" * 129}"'),
    ("an empty list", "[]"),
    ("a list", "[1]"),
    ("an object", '{"a":1}'),
)


def bodies() -> Iterator[Probe]:
    """Bytes that are no JSON object, or not the one that is asked for."""
    for name, body in (
        ("nothing", b""),
        ("a space", b" "),
        ("half an object", b'{"prompt": "hi'),
        ("half a word", b'{"prompt": tru'),
        ("a form", b"prompt=hi"),
        ("a comma too many", b'{"prompt": "hi",}'),
        ("a comment", b'{"prompt": "hi"} // really'),
        ("single quotes", b"{'prompt': 'hi'}"),
        ("two objects", b'{"prompt":"hi"}{"prompt":"hi"}'),
        ("an object and a bracket", b'{"prompt":"hi"}]'),
        ("a raw line end in text", b'{"prompt": "a\nb"}'),
        ("a raw NUL in text", b'{"prompt": "a\0b"}'),
        ("a NUL behind", b'{"prompt": "hi"}\0'),
        ("no UTF-8", b'{"prompt": "\xff"}'),
        ("UTF-8 cut short", b'{"prompt": "\xf0\x9f"}'),
        ("a surrogate in UTF-8", b'{"prompt": "\xed\xa0\x80"}'),
        ("Latin-1", '{"prompt": "ü"}'.encode("latin-1")),
        ("a byte order mark", b'\xef\xbb\xbf{"prompt": "hi"}'),
        ("UTF-16", '{"prompt": "hi"}'.encode("utf-16")),
        ("UTF-16 without a mark", '{"prompt": "hi"}'.encode("utf-16-le")),
        ("UTF-32", '{"prompt": "hi"}'.encode("utf-32")),
        ("a lone high surrogate", b'{"prompt": "\\ud800"}'),
        ("a lone low surrogate", b'{"prompt": "\\udc00 x"}'),
        ("a wrong escape", b'{"prompt": "\\x41"}'),
        ("a leading zero", b'{"prompt": "hi", "max_tokens": 05}'),
        ("a plus sign", b'{"prompt": "hi", "max_tokens": +5}'),
        ("a hexadecimal", b'{"prompt": "hi", "max_tokens": 0x10}'),
        ("deep lists", b"[" * 10_000),
        ("deep lists, closed", b"[" * 5000 + b"]" * 5000),
        ("a deep object", b'{"messages":' * 3000 + b"1" + b"}" * 3000),
        ("a list", b"[]"),
        ("null", b"null"),
        ("a number", b"5"),
        ("text", json.dumps(SECRET).encode()),
        ("an empty object", b"{}"),
        ("a list of a request", b'[{"prompt":"hi"}]'),
    ):
        yield post(f"body: {name}", body)
    yield from _sizes()


def _sizes() -> Iterator[Probe]:
    yield post("size: as much as is taken", _sized(MAX_BODY_BYTES))
    yield post("size: a byte too many", _sized(MAX_BODY_BYTES + 1))
    yield post("size: twice too much", _sized(2 * MAX_BODY_BYTES))
    yield post("size: forty times too much", _sized(40 * MAX_BODY_BYTES))
    whole = _sized(MAX_BODY_BYTES + 1)
    halves = (whole[:1000], whole[1000:])
    yield Probe("size: a byte too many, in chunks", "POST", headers=(JSON,), parts=halves)
    many = tuple([b"a" * 16_384] * 160)
    yield Probe("size: forty times too much, in chunks", "POST", headers=(JSON,), parts=many)
    yield post("size: too large, and no JSON", b"x" * (MAX_BODY_BYTES + 1))


def _sized(size: int) -> bytes:
    frame = b'{"max_tokens":2,"prompt":"%b"}'
    return frame % (b"a" * (size - len(frame % b"")))


def fields() -> Iterator[Probe]:
    """Every field with values of every kind; some of them are taken, by both or by neither."""
    for field in ("prompt", "messages", "model", "max_tokens", "temperature"):
        for name, value in VALUES:
            others = {"prompt": '"hi"', "max_tokens": "5"} | {field: value}
            if field == "messages":
                others.pop("prompt")
            yield post(f"field: {field} is {name}", _object(others))
    for name, value in VALUES:
        if name not in ("true", "zero"):
            yield post(f"field: stream is {name}", _object({"prompt": '"hi"', "stream": value}))
    for part in ("role", "content"):
        for name, value in VALUES:
            message = _object({"role": '"user"', "content": '"hi"'} | {part: value}).decode()
            body = _object({"messages": f"[{message}]", "max_tokens": "5"})
            yield post(f"field: {part} of a message is {name}", body)
    yield from _together()


def _object(fields: dict[str, str]) -> bytes:
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()


def _together() -> Iterator[Probe]:
    yield post("fields: both prompt and messages", {"prompt": SECRET, "messages": [MESSAGE]})
    yield post("fields: an unknown one", {"prompt": SECRET, "promt": 1})
    yield post("fields: thirty unknown ones", {"prompt": SECRET} | {f"x{n}": n for n in range(30)})
    yield post("fields: one with a long name", {"prompt": SECRET, "x" * 500: 1})
    yield post("fields: one with a strange name", {"prompt": SECRET, "\n\0</script>": 1})
    yield post("fields: one without a name", {"prompt": SECRET, "": 1})
    yield post("fields: a name in capitals", {"Prompt": SECRET})
    yield post("fields: n, which OpenAI has", {"prompt": SECRET, "n": 2})
    yield post("fields: two wrong ones", {"prompt": 1, "model": 2})
    yield post("fields: an unknown role", {"messages": [{**MESSAGE, "role": "tool"}]})
    yield post("fields: a message that is text", {"messages": [SECRET]})
    yield post("fields: a message without content", {"messages": [{"role": "user"}]})
    yield post("fields: a message without a role", {"messages": [{"content": SECRET}]})
    yield post("fields: a message with another field", {"messages": [{**MESSAGE, "name": "x"}]})
    yield post("fields: the third message is wrong", {"messages": [MESSAGE, MESSAGE, 3]})
    yield post("fields: a message too many", {"messages": [MESSAGE] * 257})
    yield post("fields: every message is wrong", {"messages": [{}] * 40})
    yield post("fields: more tokens than are taken", {"prompt": SECRET, "max_tokens": 16_385})
    yield post("fields: a little too warm", {"prompt": SECRET, "temperature": 2.0000001})
    yield post("fields: a model with a long name", {"prompt": SECRET, "model": "m" * 129})


def queries() -> Iterator[Probe]:
    """`GET /chat` with a query that is not taken."""
    for name, query in (
        ("none", ""),
        ("a lone question mark", "?"),
        ("a name without a value", "?prompt"),
        ("an empty prompt", "?prompt="),
        ("no prompt", "?model=sim"),
        ("an unknown parameter", "?prompt=hi&promt=1"),
        ("a prompt twice", "?prompt=hi&prompt=again"),
        ("the same prompt twice", "?prompt=hi&prompt=hi"),
        ("a number twice", "?prompt=hi&max_tokens=1&max_tokens=2"),
        ("thirty names twice", "?" + "&".join(f"x{n}=1&x{n}=2" for n in range(30))),
        ("messages", "?messages=hi"),
        ("messages as JSON", "?messages=%5B%7B%22role%22%3A%22user%22%7D%5D"),
        ("a list's brackets", "?prompt%5B%5D=hi"),
        ("a name in capitals", "?PROMPT=hi"),
        ("a name with a space", "?%20prompt=hi"),
        ("a word as a number", "?prompt=hi&max_tokens=many"),
        ("no number", "?prompt=hi&max_tokens="),
        ("zero tokens", "?prompt=hi&max_tokens=0"),
        ("half a token", "?prompt=hi&max_tokens=1.5"),
        ("too many tokens", "?prompt=hi&max_tokens=16385"),
        ("digits of another script", "?prompt=hi&max_tokens=%D9%A5"),
        ("a huge number", f"?prompt=hi&max_tokens={LONG * 8}"),
        ("too warm", "?prompt=hi&temperature=3"),
        ("NaN", "?prompt=hi&temperature=nan"),
        ("infinity", "?prompt=hi&temperature=inf"),
        ("a comma in a number", "?prompt=hi&temperature=0,5"),
        ("a strange flag", "?prompt=hi&stream=please"),
        ("an empty flag", "?prompt=hi&stream="),
        ("a long model", f"?prompt=hi&model={'m' * 129}"),
        ("an empty model", "?prompt=hi&model="),
        ("an unknown name of bytes", "?prompt=hi&%ff%fe=1"),
        ("a wrong escape in a name", "?prompt=hi&%zz=1"),
        ("semicolons between", "?prompt=hi;model=x;promt=1&x=1"),
    ):
        yield get(f"query: {name}", f"/chat{query}")
