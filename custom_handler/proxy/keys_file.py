"""Identifies callers by the API keys of KEYS_FILE, where there is no database for virtual keys.

config.yaml names `custom_handler.authenticate_key` as `custom_auth`. A key that is not in the file is left to the proxy itself:
the master key, and with a database the virtual keys. The limits are kept by the proxy's own limiter.
"""

from __future__ import annotations

from pathlib import Path

from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth

from ..proxy_module import running_proxy
from .key_entries import digest, read_entries

_OTHER_WAYS = ("enable_jwt_auth", "enable_oauth2_auth", "enable_oauth2_proxy_auth")


class KeysFileAuth:
    """Tells who calls by the key; `keys_file` may name no file. Raises ConfigurationError for one that is wrong."""

    def __init__(self, keys_file: str) -> None:
        self._callers = read_keys(Path(keys_file)) if keys_file else {}

    async def __call__(self, request: object, api_key: str | None) -> UserAPIKeyAuth | None:  # noqa: ARG002  LiteLLM's interface
        """Return the caller, or None where the proxy must decide itself; raises its error (401) for a key nobody knows."""
        if not api_key:
            return None
        given = digest(api_key.removeprefix("Bearer "))
        if caller := self._callers.get(given):
            return caller.model_copy()
        if not _proxy_may_know(given):
            raise ProxyException(
                message="Authentication Error: this proxy does not know the API key. The file .env beside the proxy's "
                "config.yaml has one, as LITELLM_MASTER_KEY.",
                type="auth_error",
                param="None",
                code=401,
            )
        return None


def _proxy_may_know(given: str) -> bool:
    """Tell whether the proxy can decide about a key itself; without a database it answers 400 for all but the master key."""
    proxy = running_proxy()
    if proxy.prisma_client is not None or any(proxy.general_settings.get(name) for name in _OTHER_WAYS):
        return True
    return proxy.master_key is None or digest(proxy.master_key) == given


def read_keys(path: Path) -> dict[str, UserAPIKeyAuth]:
    """Read a file of keys into callers by the SHA-256 of their key; raises ConfigurationError."""
    role = LitellmUserRoles.INTERNAL_USER
    return {
        entry.sha256: UserAPIKeyAuth(
            api_key=entry.sha256, key_alias=entry.name, rpm_limit=entry.requests_per_minute, user_role=role
        )
        for entry in read_entries(path)
    }
