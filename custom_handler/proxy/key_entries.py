"""Reads KEYS_FILE: the API keys that the operator names, each with its own rate limit.

keys:
  - name: team-a
    key: sk-…                  # or sha256: the key's SHA-256, so that the file holds no secret
    requests_per_minute: 60    # left out: no limit
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigurationError

SHORTEST_KEY = 16

_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_KEY = re.compile(rf"[\x21-\x7e]{{{SHORTEST_KEY},}}")
_FIELDS = {"name", "key", "sha256", "requests_per_minute"}


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One key: its name, the SHA-256 of the key as hex digits, and the most requests a minute (None: any number)."""

    name: str
    sha256: str
    requests_per_minute: int | None


def read_entries(path: Path) -> list[KeyEntry]:
    """Read a file of keys; raises ConfigurationError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"KEYS_FILE {str(path)!r} cannot be read: {type(error).__name__}. Correct the name or the file."
        ) from None
    entries = content.get("keys") if isinstance(content, Mapping) else None
    if not isinstance(entries, list):
        raise ConfigurationError(f"KEYS_FILE {str(path)!r} must hold a list named keys.")
    found: list[KeyEntry] = []
    for number, given in enumerate(entries):
        entry = _entry(given, f"KEYS_FILE, keys[{number}]")
        if any(entry.name == known.name or entry.sha256 == known.sha256 for known in found):
            raise ConfigurationError(f"KEYS_FILE, keys[{number}]: its name or its key stands there twice.")
        found.append(entry)
    return found


def digest(key: str) -> str:
    """Return the SHA-256 of a key as hex digits."""
    return hashlib.sha256(key.encode("utf-8", errors="surrogateescape")).hexdigest()


def _entry(given: Any, where: str) -> KeyEntry:
    if not isinstance(given, Mapping) or (set(given) - _FIELDS):
        raise ConfigurationError(f"{where} must have no fields but {', '.join(sorted(_FIELDS))}.")
    name, limit = given.get("name"), given.get("requests_per_minute")
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"{where} needs a name.")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise ConfigurationError(f"{where}.requests_per_minute must be a whole number above zero.")
    return KeyEntry(name.strip(), _digest_of(given, where), limit)


def _digest_of(given: Mapping[str, Any], where: str) -> str:
    match given.get("key"), given.get("sha256"):
        case str(key), None if _KEY.fullmatch(key):
            return digest(key)
        case None, str(hashed) if _SHA256.fullmatch(hashed):
            return hashed.lower()
    raise ConfigurationError(
        f"{where} needs either a key of at least {SHORTEST_KEY} characters without blanks, or a sha256 of 64 hex digits."
    )
