"""The bytes of the Agent API: identifiers, frames and error bodies."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

ULID_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
# A word includes the whitespace before it, as a model's tokens do.
WORD = re.compile(r"\s*\S+|\s+")
CHARACTERS_PER_TOKEN = 4
# json.dumps would make an encoder for each frame.
ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
FULL_FRAME: dict[str, Any] = {
    "message": None,
    "stop_reason": None,
    "tokens": None,
    "upload_ids": {},
    "knowledge_source_id": [],
    "source": [],
    "cross_account_source": [],
    "tools_id": [],
    "agent_info": [],
    "conversation_id": None,
    "message_id": None,
}


class RefusedError(Exception):
    """A request that gets the HTTP error `status`; `body` is text or JSON."""

    def __init__(self, status: int, body: Any = "") -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def new_ulid(seconds: float) -> str:
    """Return a ULID: 48 bits of milliseconds and 80 random bits, in Crockford's alphabet."""
    number = int(seconds * 1000) << 80 | secrets.randbits(80)
    return "".join(ULID_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_ulid(value: object) -> bool:
    """Return whether `value` is a string with the form of a ULID.

    >>> is_ulid("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    True
    """
    return isinstance(value, str) and ULID.fullmatch(value) is not None


def count_tokens(text: str, characters_before: int = 0) -> int:
    """Return the tokens that the simulator counts for `text` after so many characters."""
    return -(-(characters_before + len(text)) // CHARACTERS_PER_TOKEN)


def split_words(text: str) -> list[str]:
    """Return the increments in which an agent streams `text`.

    >>> split_words("Olá, tudo bem?")
    ['Olá,', ' tudo', ' bem?']
    """
    return WORD.findall(text)


def encode_json(value: object) -> bytes:
    """Return compact JSON in UTF-8, with escapes only if there are lone surrogates."""
    try:
        return ENCODE(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def encode_frame(data: object, line_ending: str = "\n") -> bytes:
    """Return one Server-Sent Event; a string is sent unchanged, any other value as JSON."""
    body = data.encode(errors="replace") if isinstance(data, str) else encode_json(data)
    end = line_ending.encode()
    return b"data: " + body + end + end


def openai_frame(content: str | None, finish_reason: str | None = None) -> dict[str, Any]:
    """Return an increment in the form of OpenAI's API."""
    delta = {} if content is None else {"content": content}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def error_body(code: str, details: str, kind: str = "INFERENCE") -> dict[str, Any]:
    """Return the body of an error of the inference host."""
    return {"type": kind, "code": code, "details": details}


def html_page(title: str) -> str:
    """Return an error page of a gateway."""
    return f"<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n"
