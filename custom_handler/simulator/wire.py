"""The bytes of the Agent API: identifiers, frames, Server-Sent Events and error bodies."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

ULID_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
# A word takes the blanks before it, as a model's tokens do; joined again the pieces are the text.
WORD = re.compile(r"\s*\S+|\s+")
CHARACTERS_PER_TOKEN = 4


def new_ulid(seconds: float) -> str:
    """A ULID of that moment: 48 bits of milliseconds and 80 random ones, in Crockford's alphabet."""
    number = int(seconds * 1000) << 80 | secrets.randbits(80)
    return "".join(ULID_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_ulid(value: object) -> bool:
    """Whether `value` is a string of 26 characters that a ULID may have."""
    return isinstance(value, str) and ULID.fullmatch(value) is not None


def count_tokens(text: str, before: int = 0) -> int:
    """How many tokens the simulator charges for `text`, and so many characters before it."""
    return -(-(before + len(text)) // CHARACTERS_PER_TOKEN)


def split_words(text: str) -> list[str]:
    """The increments in which an agent streams `text`."""
    return WORD.findall(text)


def encode_json(value: object) -> bytes:
    """Compact JSON in UTF-8, with escapes only where a lone surrogate leaves no other way."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def encode_frame(data: object, line_ending: str = "\n") -> bytes:
    """One Server-Sent Event; a string is sent as it is, anything else as JSON."""
    body = data.encode(errors="replace") if isinstance(data, str) else encode_json(data)
    end = line_ending.encode()
    return b"data: " + body + end + end


def thin_frame(message: str | None) -> dict[str, Any]:
    """A frame that carries an increment and nothing else."""
    return {"message": message}


def fat_frame(message: str | None) -> dict[str, Any]:
    """A frame with all the keys of a whole answer, before its end."""
    return {
        "message": message,
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


def openai_frame(content: str | None, finish_reason: str | None = None) -> dict[str, Any]:
    """The increment as OpenAI would have written it."""
    delta = {} if content is None else {"content": content}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def error_body(code: str, details: str, kind: str = "INFERENCE") -> dict[str, Any]:
    """The body of a refusal at the agent's host."""
    return {"type": kind, "code": code, "details": details}


def prompt_too_long(limit: int, tokens: int) -> dict[str, Any]:
    """The refusal of a prompt above the agent's limit, word for word as the service writes it."""
    details = (
        f"Input tokens exceed the configured limit of {limit} tokens. "
        f"Your messages resulted in {tokens} tokens. Please reduce the length of the messages."
    )
    return error_body("INFERENCE_6001_LLM_MODEL_BAD_REQUEST", details)


def rate_limited() -> dict[str, Any]:
    """The refusal of a request above the account's limit; the service adds no Retry-After."""
    return error_body("INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED", "Rate limit exceeded for this account.")


def html_page(status: int, reason: str) -> str:
    """What a gateway answers in place of the service."""
    title = f"{status} {reason}"
    return f"<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n"
