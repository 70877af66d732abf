"""The words of the simulated model: phrases cut into pieces as a tokenizer does, and each piece as JSON."""

import json
import re
from functools import cache

PHRASES = (
    " The first token leaves as soon as the model has it, and the rest of the answer follows.",
    " A batch endpoint holds the connection until the last token, so the reader looks at a blank page.",
    " Measure the time to first token apart from the time per output token; they have different causes.",
    " If the client goes away, cancel the upstream request: otherwise nobody reads what is still paid for.",
    " Heartbeats keep proxies from closing a silent connection while the prompt is being processed.",
    " Order no. 48213 was shipped on 2026-03-14 and should arrive within 3-5 working days.",
    " You can return the item within 30 days; the refund (€ 129.90) goes to the card you paid with.",
    " I'm sorry that the parcel arrived damaged. Could you send us a photo of the label?",
    " In short: yes, but only if the account's owner has confirmed the e-mail address.",
    " A bounded queue turns a slow reader into backpressure instead of memory.",
    " It depends on the tail, not the mean: one reader in a hundred waits for the ninety-ninth percentile.",
    ' "Streaming" changes perceived latency; total latency stays that of the slowest stage.',
    "\n\nHere is a short summary:\n\n- what happened\n- why it matters\n- what to do next\n",
    "\n\n1. Open **Settings → Privacy**.\n2. Choose *Export my data*.\n3. Confirm with your password.\n\n",
    '\n\n```python\nasync for delta in stream:\n    print(delta.text, end="", flush=True)\n```\n\n',
    "\n\n```sql\nSELECT id, name\n  FROM customers\n WHERE country = 'DE' AND active;\n```\n\n",
    "\n\n| step | ms |\n|---|---:|\n| search | 4 |\n| context | 12 |\n| model | 9100 |\n\n",
    "\r\nWindows line endings\r\n\tand a tab are text like any other.\r\n",
    "\ndata: this line is not a frame\nevent: neither is this one\n\n",
    " C:\\Users\\Anna\\Documents\\report (final).docx </script> & <b>bold</b> \u2028 \u2029",
    " Vielen Dank für Ihre Nachricht! Die Lieferung nach Österreich dauert höchstens fünf Tage.",
    " Größe, Maß und Straße schreibt man weiterhin mit ß, außer in der Schweiz.",
    " Merci beaucoup, votre dossier a bien été reçu ; nous répondrons dès que possible.",
    " ¿Podría indicarme el número de pedido? Así lo encontraré más rápido, señor Núñez.",
    " Спасибо за обращение: мы уже проверяем ваш заказ и скоро ответим.",
    " شكرا على رسالتك، سنرد عليك في أقرب وقت ممكن.",
    "您好，您的订单已经发货，预计三天内送达。如有问题，请随时联系我们。",
    "ご連絡ありがとうございます。内容を確認のうえ、明日までにお返事いたします。",
    " 감사합니다. 주문하신 상품은 내일 도착할 예정입니다.",
    " Great news 🎉 your upgrade is live 🚀, and the team 👩‍💻👨🏽‍🔧 is watching it 👀.",
    " Flags 🇦🇹🇨🇭, combining e\u0301 and n\u0303, and 𝒎𝒂𝒕𝒉 such as ∑ xᵢ² ≤ ½ are one text.",
    "\n\n> Simple is better than complex.\n> Flat is better than nested.\n\n",
)
"""What answers are made of; line ends, field names and markup are in it so that framing is put to the test."""

_PIECE = re.compile(
    r"\r\n|\n+ *|\t+"
    r"|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{1,2}"
    r"| ?[^\W\d_\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{1,7}"
    r"| ?\d{1,3}|  +| ?[^\w\s]|.",
    re.DOTALL,
)


def cut(text: str) -> tuple[str, ...]:
    """Pieces of one to a few characters that join to `text` again, as a byte-pair tokenizer would cut it."""
    return tuple(_PIECE.findall(text))


@cache
def phrases() -> tuple[tuple[str, ...], ...]:
    """Every phrase, cut into pieces."""
    return tuple(cut(phrase) for phrase in PHRASES)


@cache
def json_bodies() -> dict[str, bytes]:
    """Each piece as the inside of a JSON string.

    Pieces beyond the Basic Multilingual Plane are escaped as surrogate pairs, the others are plain UTF-8: real
    servers send both, and a reader has to take both.
    """
    pieces = {piece for phrase in phrases() for piece in phrase}
    return {piece: _json_body(piece) for piece in pieces}


@cache
def longest_body() -> int:
    """Bytes of the longest of the `json_bodies`."""
    return max(map(len, json_bodies().values()))


def _json_body(piece: str) -> bytes:
    return json.dumps(piece, ensure_ascii=max(piece) > "\uffff")[1:-1].encode()
