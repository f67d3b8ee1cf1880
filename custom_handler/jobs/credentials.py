"""Keeps what a caller said of itself, its key above all, in a job store that others may read.

A job is run with its caller's own key, checked anew for each item: a key that was revoked, or whose budget is used up, is refused
as it is everywhere. Sealed is sealed with the proxy's own key for what it keeps (LITELLM_SALT_KEY, or else the master key), for
one job alone; a worker elsewhere needs that key too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from litellm.proxy.common_utils.encrypt_decrypt_utils import decrypt_bearer_token, encrypt_bearer_token, get_salt_key

from ..errors import ConfigurationError


def secret() -> str:
    """Return the key that everything is sealed with; raises ConfigurationError."""
    if key := get_salt_key():
        return str(key)
    raise ConfigurationError("Jobs keep their callers' keys encrypted: set LITELLM_MASTER_KEY, or LITELLM_SALT_KEY.")


def encrypt_headers(job_id: str, headers: Mapping[str, str]) -> str:
    """Encrypt headers for a job."""
    return str(encrypt_bearer_token(json.dumps(dict(headers)), prefix=_prefix(job_id)))


def decrypt_headers(job_id: str, sealed: str) -> dict[str, str] | None:
    """Return the headers, or None where they were sealed for another job or with another key."""
    opened = decrypt_bearer_token(sealed, prefix=_prefix(job_id))
    return None if opened is None else dict(json.loads(opened))


def _prefix(job_id: str) -> str:
    return f"job.{job_id}."
