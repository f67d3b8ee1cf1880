"""Reads how a model caches answers, from `model_info`, and how a request uses that cache."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..chat.answer_key import CacheOptions
from ..emulation.prompt.content import is_text
from ..errors import ConfigurationError
from ..request.chat_request import Message

KEY, ACCOUNT = "key", "account"
DEFAULT_SECONDS, MAX_SECONDS = 300.0, 7 * 24 * 3600.0

_MAX_AGE_ZERO = re.compile(r"max-age=0+")


def cache_scope(model_info: Mapping[str, Any]) -> tuple[str | None, float]:
    """Return who shares cached answers of a model (None: it has no cache) and their seconds.

    Raises ConfigurationError.

    >>> cache_scope({"cache": "key"})
    ('key', 300.0)
    """
    scope, seconds = model_info.get("cache"), model_info.get("cache_ttl")
    if scope is not None and scope is not False and scope not in (KEY, ACCOUNT):
        raise _error("cache", scope, "say key, for a cache of each API key, or account, for one of all keys")
    if seconds is None:
        return scope or None, DEFAULT_SECONDS
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 1 <= seconds <= MAX_SECONDS:
        raise _error("cache_ttl", seconds, f"give seconds, from 1 to {MAX_SECONDS:.0f}")
    if not scope:
        raise _error("cache_ttl", seconds, "it needs model_info.cache, key or account")
    return scope, float(seconds)


def cache_options(
    model_info: Mapping[str, Any],
    caller: str | None,
    headers: Mapping[str, str],
    body: Mapping[str, Any],
    messages: Sequence[Message],
) -> CacheOptions | None:
    """Return how a request uses the cache of its model, None for a model without one.

    `caller` identifies the caller; without it, a cache of each key is not used. The client decides
    by `Cache-Control`, or by the field `cache` of LiteLLM's own cache. Messages with files are not
    cached: the prompt has only their names. Raises ConfigurationError.
    """
    scope, seconds = cache_scope(model_info)
    if scope is None:
        return None
    owner = caller if scope == KEY else None
    asked = _directives(headers, body)
    unknown = scope == KEY and caller is None
    bypass = unknown or "no-store" in asked or not all(is_text(message.get("content")) for message in messages)
    return CacheOptions(seconds, owner, refresh="no-cache" in asked, bypass=bypass)


def _directives(headers: Mapping[str, str], body: Mapping[str, Any]) -> set[str]:
    """Return the directives of a request; `max-age=0` means `no-cache`."""
    given = {part.strip().lower() for part in headers.get("cache-control", "").split(",")}
    if any(map(_MAX_AGE_ZERO.fullmatch, given)):
        given.add("no-cache")
    controls = body.get("cache")
    if isinstance(controls, Mapping):
        given |= {name for name in ("no-cache", "no-store") if controls.get(name) is True}
    return given


def _error(name: str, value: object, action: str) -> ConfigurationError:
    return ConfigurationError(f"model_info.{name} is {str(value)[:80]!r} in config.yaml: {action}.")
