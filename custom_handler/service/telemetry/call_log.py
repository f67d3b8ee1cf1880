"""Logs one line for each call that ended, on the logger `custom_handler.calls`: ids, names and numbers, never content."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger("custom_handler.calls")

_UNSAFE = re.compile(r"[^\w/:@.+,*-]", re.ASCII)


def log_call(line: Mapping[str, Any]) -> None:
    """Log a call by its telemetry line (see `interaction`): INFO, or WARNING where it failed.

    A record has the fields as `call`, for a formatter that writes JSON.
    """
    fields = call_fields(line)
    level = logging.INFO if line["status"] < 400 else logging.WARNING
    text = " ".join(f"{name}={_safe(value)}" for name, value in fields.items())
    logger.log(level, "call %s", text, extra={"call": fields})


def call_fields(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the log line; times are in seconds, and None stands for what is not known."""
    first, usage = line["time_to_first_token_ms"], line["usage"]
    upstream = "/".join(filter(None, (line["provider"], line["provider_model"])))
    return {
        "request_id": line["request_id"],
        "correlation_id": line["correlation_id"],
        "key": line["key"],
        "model": line["model"],
        "status": line["status"],
        "seconds": round(line["latency_ms"] / 1000, 3),
        "first_token": None if first is None else round(first / 1000, 3),
        "tokens": f"{usage['prompt_tokens']}/{usage['completion_tokens']}",
        "tool_calls": line["tool_calls"],
        "repairs": line["repairs"],
        "upstream": upstream or None,
    }


def _safe(value: object) -> str:
    """Write a value without blanks, brackets and control characters, which could imitate another field or line."""
    return "-" if value is None else _UNSAFE.sub(_escaped, str(value))


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", errors="replace"))
