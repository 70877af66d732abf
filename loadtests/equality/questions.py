"""What is asked: named requests of many kinds that both stacks must answer."""

from loadtests.corpus import generate
from shared.schemas import ChatRequest, Message

SHORT = 24
"""Tokens of most answers, so that parity is quick in front of a model that takes its time."""
OF_THE_CORPUS = 10
Named = list[tuple[str, ChatRequest]]


def questions() -> Named:
    """Four of them let the model finish; the rest are short."""
    written = [
        ("a prompt", ChatRequest(prompt="Where is my order?")),
        ("a long prompt", ChatRequest(prompt="All that is known so far. " * 400)),
        ("one token", _short("Yes or no?", 1)),
        ("two tokens", _short("Yes or no?", 2)),
        ("four tokens", _short("Count to three.", 4)),
        ("five tokens", _short("Count to three.", 5)),
        ("more tokens than there are", _short("Say all of it.", 5000)),
        ("as many tokens as are taken", _short("Say all of it.", 16_384)),
        ("one character", _short("x")),
        ("an emoji", _short("Why 👩‍💻🇦🇹 and not 🌙?")),
        ("accents, composed and not", _short("café, cafe\u0301, naïve, Grüß Gott")),
        ("many lines", _short("First\nsecond\r\nthird\n\n\tfourth\u2028fifth\u2029sixth\u0085\n")),
        ("frames in the text", _short("data: {}\n\nevent: done\ndata: [DONE]\n\n")),
        ("quotes and backslashes", _short('C:\\temp\\"new" </script> &amp; \0 \x1f \x7f')),
        ("no Latin letter", _short("为什么?なぜ?почему?لماذا؟")),
        ("right to left, and marks", _short("\u202eabc\u202c \u200b\ufeff שלום")),
        ("beyond Unicode's letters", _short("\ufffd \uffff \U0010ffff \ue000")),
        ("only spaces", _short("   ")),
        ("a query in the prompt", _short("a=1&b=2;c=%20+%zz#fragment?x=y")),
        ("a temperature", ChatRequest(prompt="Surprise me.", temperature=1.5, max_tokens=SHORT)),
        (
            "the lowest temperature",
            ChatRequest(prompt="Be exact.", temperature=0, max_tokens=SHORT),
        ),
        (
            "the highest temperature",
            ChatRequest(prompt="Be wild.", temperature=2, max_tokens=SHORT),
        ),
        ("a model", ChatRequest(prompt="Who are you?", model="gpt-4o", max_tokens=SHORT)),
        (
            "the longest name of a model",
            ChatRequest(prompt="Hi", model="m" * 128, max_tokens=SHORT),
        ),
        ("everything at once", _everything()),
        ("one message", _talk(("user", "Good morning!"))),
        ("a conversation", _talk(("system", "Be brief."), ("user", "Hi"), ("assistant", "Hm?"))),
        ("an empty message", _talk(("user", ""))),
        ("only a system message", _talk(("system", "Say nothing."))),
        ("as many messages as are taken", _talk(*[("user", "Hi")] * 256)),
    ]
    return written + [
        (f"number {index} of the corpus", chat.model_copy(update={"max_tokens": SHORT}))
        for index, chat in enumerate(generate(seed=7, count=OF_THE_CORPUS))
    ]


def _short(prompt: str, max_tokens: int = SHORT) -> ChatRequest:
    return ChatRequest(prompt=prompt, max_tokens=max_tokens)


def _everything() -> ChatRequest:
    return ChatRequest(prompt="All.", model="gpt-4o", max_tokens=SHORT, temperature=0.5)


def _talk(*turns: tuple[str, str]) -> ChatRequest:
    messages = tuple(Message.model_validate({"role": r, "content": c}) for r, c in turns)
    return ChatRequest(messages=messages, max_tokens=SHORT)
