"""Encrypt the caller's headers, API key included, before a job store keeps them.

Each item is sent with its caller's own key, so the proxy checks that key again for every item: a
revoked key or an exhausted budget is rejected as usual. The encryption key is LITELLM_SALT_KEY,
else the master key; workers on other machines need the same one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from litellm.proxy.common_utils.encrypt_decrypt_utils import decrypt_bearer_token, encrypt_bearer_token, get_salt_key

from ..errors import ConfigurationError


def encryption_key() -> str:
    """Return the proxy's encryption key; raise ConfigurationError if there is none."""
    if key := get_salt_key():
        return str(key)
    raise ConfigurationError("Jobs keep their callers' keys encrypted: set LITELLM_MASTER_KEY, or LITELLM_SALT_KEY.")


def encrypt_headers(job_id: str, headers: Mapping[str, str]) -> str:
    """Encrypt headers so that they can be decrypted for this job only."""
    return str(encrypt_bearer_token(json.dumps(dict(headers)), prefix=f"job.{job_id}."))


def decrypt_headers(job_id: str, encrypted: str) -> dict[str, str] | None:
    """Return the headers, or None if they were encrypted for another job or with another key."""
    decrypted = decrypt_bearer_token(encrypted, prefix=f"job.{job_id}.")
    return None if decrypted is None else dict(json.loads(decrypted))
