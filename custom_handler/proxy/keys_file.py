"""Authenticate callers by the API keys of KEYS_FILE, which needs no database.

config.yaml names `custom_handler.authenticate_key` as `custom_auth`. The proxy itself checks other
keys (the master key, and with a database virtual keys), and enforces the limits.
"""

from __future__ import annotations

from pathlib import Path

from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth

from ..provider.litellm_call import QUOTA, key_caller
from ..proxy_module import running_proxy
from ..request.caller import Caller
from .key_entries import digest, read_entries
from .validation.received import validate_received

_TOKEN_SETTINGS = ("enable_jwt_auth", "enable_oauth2_auth", "enable_oauth2_proxy_auth")


class KeysFileAuth:
    """Identify the caller by API key; raises ConfigurationError for an invalid `keys_file`."""

    def __init__(self, keys_file: str) -> None:
        self._callers = read_keys(Path(keys_file)) if keys_file else {}

    async def __call__(self, request: object, api_key: str | None) -> UserAPIKeyAuth | None:  # noqa: ARG002  LiteLLM's interface
        """Return the caller, or None if the proxy has to check the key itself.

        Raises the proxy's error, 401 for a key that is neither in the file nor known to the proxy,
        400 for an invalid body.
        """
        if not api_key:
            return None
        key_digest = digest(api_key.removeprefix("Bearer "))
        caller = self._callers.get(key_digest)
        if caller is None and not _proxy_checks(key_digest):
            raise ProxyException(
                message="Authentication Error: this proxy does not know the API key. The file .env beside the proxy's "
                "config.yaml has one, as LITELLM_MASTER_KEY.",
                type="auth_error",
                param="None",
                code=401,
            )
        validate_received()
        return None if caller is None else caller.model_copy()


def _proxy_checks(key_digest: str) -> bool:
    """Return whether the proxy can check a key; without a database it knows the master key only.

    For any other key it would respond 400.
    """
    proxy = running_proxy()
    if proxy.prisma_client is not None or any(proxy.general_settings.get(name) for name in _TOKEN_SETTINGS):
        return True
    return proxy.master_key is None or digest(proxy.master_key) == key_digest


def read_keys(path: Path) -> dict[str, UserAPIKeyAuth]:
    """Map the SHA-256 of each key in a file to its caller; raises ConfigurationError."""
    role = LitellmUserRoles.INTERNAL_USER
    return {
        entry.sha256: UserAPIKeyAuth(
            api_key=entry.sha256,
            key_alias=entry.name,
            rpm_limit=entry.requests_per_minute,
            user_role=role,
            metadata={QUOTA: {"weight": entry.weight, "share": entry.share}},
        )
        for entry in read_entries(path)
    }


def quota_caller(key: UserAPIKeyAuth) -> Caller:
    """Return the caller as which an authenticated key uses the account."""
    return key_caller(key.key_alias, key.api_key, key.metadata)
