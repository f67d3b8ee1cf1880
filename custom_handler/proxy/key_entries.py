"""Read KEYS_FILE: API keys with a name and a rate limit each.

keys:
  - name: team-a
    key: sk-…                  # or sha256: the key's SHA-256, so that the file holds no secret
    requests_per_minute: 60    # optional; default: no limit
    weight: 2                  # optional, 1 to 100; default: 1
    share: 0.5                 # optional, above 0 to 1; default: 1
    routes: [/metrics]         # optional: routes that it may call besides those of key_routes
    budget: 20                 # optional: USD that its calls may cost; default: no limit
    budget_duration: 30d       # optional: 1h, 1d, 7d (from Monday), 30d or 1mo (a calendar month)
    models: [stackspot/*]      # optional: the models that it may call and sees; default: all
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..data_class import data_class
from ..errors import ConfigurationError
from ..request.caller import MASTER
from .budget_period import DURATIONS
from .key_routes import is_pattern

SHORTEST_KEY = 16

_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_WILDCARD = re.compile(r"[\w./:@*-]+")
_KEY = re.compile(rf"[\x21-\x7e]{{{SHORTEST_KEY},}}")
_FIELDS = {
    "name",
    "key",
    "sha256",
    "requests_per_minute",
    "models",
    "routes",
    "share",
    "weight",
    "budget",
    "budget_duration",
}


@data_class
class KeyEntry:
    """One key: name, SHA-256 as hex digits, and maximum of requests per minute (None: no limit).

    `weight` and `share` are its part of the account's requests (see `Caller`); `routes` are paths,
    which may end with `/*`, that it may call besides those of every key; `models` are names, which
    may have wildcards, of the only models that it may call (none: all). `budget` is in USD for each
    `budget_duration`, one of `budget_period.DURATIONS`, or for ever (None).
    """

    name: str
    sha256: str
    requests_per_minute: int | None
    weight: int = 1
    share: float = 1.0
    routes: tuple[str, ...] = ()
    budget: float | None = None
    budget_duration: str | None = None
    models: tuple[str, ...] = ()


def read_entries(path: Path) -> list[KeyEntry]:
    """Return the entries of a keys file; raises ConfigurationError."""
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
    for number, fields in enumerate(entries):
        entry = _entry(fields, f"KEYS_FILE, keys[{number}]")
        if any(entry.name == known.name or entry.sha256 == known.sha256 for known in found):
            raise ConfigurationError(f"KEYS_FILE, keys[{number}]: its name or its key is there twice.")
        found.append(entry)
    return found


def digest(key: str) -> str:
    """Return the SHA-256 of a key as hex digits."""
    return hashlib.sha256(key.encode("utf-8", errors="surrogateescape")).hexdigest()


def _entry(fields: Any, where: str) -> KeyEntry:
    if not isinstance(fields, Mapping) or (set(fields) - _FIELDS):
        raise ConfigurationError(f"{where} must have no fields but {', '.join(sorted(_FIELDS))}.")
    name, limit = fields.get("name"), fields.get("requests_per_minute")
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"{where} needs a name.")
    if name.strip() == MASTER.name:  # in the quota, in logs and in metrics
        raise ConfigurationError(f"{where}.name is {MASTER.name!r}, the name of the master key: choose another one.")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise ConfigurationError(f"{where}.requests_per_minute must be a whole number above zero.")
    weight, share = fields.get("weight", 1), fields.get("share", 1.0)
    if not isinstance(weight, int) or isinstance(weight, bool) or not 1 <= weight <= 100:
        raise ConfigurationError(f"{where}.weight must be a whole number from 1 to 100.")
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1:
        raise ConfigurationError(f"{where}.share must be a number above 0, and at most 1.")
    return KeyEntry(
        name.strip(),
        _digest_of(fields, where),
        limit,
        weight,
        float(share),
        _routes_of(fields, where),
        *_budget_of(fields, where),
        _models_of(fields, where),
    )


def _budget_of(fields: Mapping[str, Any], where: str) -> tuple[float | None, str | None]:
    budget, duration = fields.get("budget"), fields.get("budget_duration")
    if budget is not None and (
        not isinstance(budget, int | float) or isinstance(budget, bool) or not 0 <= budget < math.inf
    ):
        raise ConfigurationError(f"{where}.budget must be a number of USD, such as 20 or 0.5.")
    if duration is not None and (budget is None or duration not in DURATIONS):
        raise ConfigurationError(f"{where}.budget_duration must be one of {', '.join(DURATIONS)}, beside a budget.")
    return None if budget is None else float(budget), duration


def _models_of(fields: Mapping[str, Any], where: str) -> tuple[str, ...]:
    models = fields.get("models")
    if models is None:
        return ()
    if not isinstance(models, list) or not models or not all(map(_is_model, models)):
        raise ConfigurationError(f"{where}.models must be a list of models, such as stackspot-chat or stackspot/*.")
    return tuple(models)


def _is_model(value: object) -> bool:
    """Return whether a value is a name; LiteLLM reads one with a `*` as a regular expression."""
    return (
        isinstance(value, str) and bool(value.strip()) and ("*" not in value or _WILDCARD.fullmatch(value) is not None)
    )


def _routes_of(fields: Mapping[str, Any], where: str) -> tuple[str, ...]:
    routes = fields.get("routes")
    if routes is None:
        return ()
    if not isinstance(routes, list) or not all(map(is_pattern, routes)):
        raise ConfigurationError(f"{where}.routes must be a list of paths, such as /v1/rerank or /cohere/*.")
    return tuple(routes)


def _digest_of(fields: Mapping[str, Any], where: str) -> str:
    match fields.get("key"), fields.get("sha256"):
        case str(key), None if _KEY.fullmatch(key):
            return digest(key)
        case None, str(hashed) if _SHA256.fullmatch(hashed):
            return hashed.lower()
    raise ConfigurationError(
        f"{where} needs either a key of at least {SHORTEST_KEY} characters without blanks, or a sha256 of 64 hex digits."
    )
