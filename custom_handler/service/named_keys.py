"""API keys that the operator names in a file, each with its own rate limit, where there is no database for virtual keys.

    keys:
      - name: team-a
        key: sk-…                  # or sha256: the key's SHA-256, so that the file holds no secret
        requests_per_minute: 60    # left out: no limit

config.yaml names `custom_handler.authenticate_key` as `custom_auth`. A key that is not in the file is left to the proxy itself:
the master key, and with a database the virtual keys. The limits are kept by the proxy's own limiter.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth

from ..errors import ConfigurationError
from ..settings import Settings

SHORTEST_KEY = 16

_OTHER_WAYS = ("enable_jwt_auth", "enable_oauth2_auth", "enable_oauth2_proxy_auth")
_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_KEY = re.compile(rf"[\x21-\x7e]{{{SHORTEST_KEY},}}")
_FIELDS = {"name", "key", "sha256", "requests_per_minute"}


class KeyRing:
    """Tells who calls by the key; `settings.keys_file` may name no file. Raises ConfigurationError for one that is wrong."""

    def __init__(self, settings: Settings) -> None:
        self._callers = read_keys(Path(settings.keys_file)) if settings.keys_file else {}

    async def __call__(self, request: object, api_key: str | None) -> UserAPIKeyAuth | None:  # noqa: ARG002  LiteLLM's interface
        """Return the caller, or None where the proxy must decide itself; raises its error (401) for a key nobody knows."""
        if not api_key:
            return None
        given = _digest(api_key.removeprefix("Bearer "))
        if caller := self._callers.get(given):
            return caller.model_copy()
        if not _proxy_may_know(given):
            raise ProxyException(
                message="Authentication Error: this proxy does not know the API key. Use the value of LITELLM_MASTER_KEY: it "
                "is in the file .env beside the proxy's config.yaml.",
                type="auth_error",
                param="None",
                code=401,
            )
        return None


def _proxy_may_know(given: str) -> bool:
    """Tell whether the proxy can decide about a key itself; without a database it answers 400 for all but the master key."""
    proxy = sys.modules["litellm.proxy.proxy_server"]
    if proxy.prisma_client is not None or any(proxy.general_settings.get(name) for name in _OTHER_WAYS):
        return True
    return proxy.master_key is None or _digest(proxy.master_key) == given


def read_keys(path: Path) -> dict[str, UserAPIKeyAuth]:
    """Read a file of keys into callers by the SHA-256 of their key; raises ConfigurationError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"KEYS_FILE {str(path)!r} cannot be read: {type(error).__name__}.") from None
    entries = content.get("keys") if isinstance(content, Mapping) else None
    if not isinstance(entries, list):
        raise ConfigurationError(f"KEYS_FILE {str(path)!r} must hold a list named keys.")
    callers: dict[str, UserAPIKeyAuth] = {}
    for number, entry in enumerate(entries):
        digest, caller = _caller(entry, f"KEYS_FILE, keys[{number}]")
        if digest in callers or caller.key_alias in {known.key_alias for known in callers.values()}:
            raise ConfigurationError(f"KEYS_FILE, keys[{number}]: its name or its key stands there twice.")
        callers[digest] = caller
    return callers


def _caller(entry: Any, where: str) -> tuple[str, UserAPIKeyAuth]:
    if not isinstance(entry, Mapping) or (set(entry) - _FIELDS):
        raise ConfigurationError(f"{where} must have no fields but {', '.join(sorted(_FIELDS))}.")
    name, limit = entry.get("name"), entry.get("requests_per_minute")
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"{where} needs a name.")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise ConfigurationError(f"{where}.requests_per_minute must be a whole number above zero.")
    digest = _digest_of(entry, where)
    role = LitellmUserRoles.INTERNAL_USER
    return digest, UserAPIKeyAuth(api_key=digest, key_alias=name.strip(), rpm_limit=limit, user_role=role)


def _digest_of(entry: Mapping[str, Any], where: str) -> str:
    match entry.get("key"), entry.get("sha256"):
        case str(key), None if _KEY.fullmatch(key):
            return _digest(key)
        case None, str(digest) if _SHA256.fullmatch(digest):
            return digest.lower()
    raise ConfigurationError(
        f"{where} needs either a key of at least {SHORTEST_KEY} characters without blanks, or a sha256 of 64 hex digits."
    )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", errors="surrogateescape")).hexdigest()
