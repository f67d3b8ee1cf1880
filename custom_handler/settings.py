"""The settings of the package, read from the environment (and from `.env`, which never overrides it)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from .errors import ConfigurationError

PREFIX = "STACKSPOT_"


def _setting(name: str, default: Any, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"name": name})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, by the name that the environment gives it; each is also found with the prefix `STACKSPOT_`.

    `client_secret` is what the portal calls the client key; `realm` is the account's slug. Times are in seconds.
    """

    client_id: str = _setting("CLIENT_ID", "")
    client_secret: str = _setting("CLIENT_SECRET", "", secret=True)
    realm: str = _setting("REALM", "")
    agent_id: str = _setting("GENAI_AGENT_ID", "")
    idm_url: str = _setting("STACKSPOT_IDM_URL", "https://idm.stackspot.com")
    inference_url: str = _setting("STACKSPOT_INFERENCE_URL", "https://genai-inference-app.stackspot.com")
    require_correlation_id: bool = _setting("STACKSPOT_REQUIRE_CORRELATION_ID", False)
    timeout: float = _setting("STACKSPOT_TIMEOUT", 600.0)
    repair: bool = _setting("STACKSPOT_REPAIR", True)
    max_prompt_chars: int = _setting("STACKSPOT_MAX_PROMPT_CHARS", 1_000_000)
    keys_file: str = _setting("KEYS_FILE", "")
    log_level: str = _setting("STACKSPOT_LOG_LEVEL", "INFO")
    services: bool = _setting("STACKSPOT_SERVICES", True)
    default_model: str = _setting("DEFAULT_MODEL", "stackspot-chat")
    session_turns: int = _setting("STACKSPOT_SESSION_TURNS", 20)
    session_bytes: int = _setting("STACKSPOT_SESSION_BYTES", 100_000)
    message_bytes: int = _setting("STACKSPOT_MESSAGE_BYTES", 262_144)
    jobs: bool = _setting("JOBS", True)
    jobs_dir: str = _setting("JOBS_DIR", "jobs")
    redis_url: str = _setting("REDIS_URL", "", secret=True)
    jobs_work_here: bool = _setting("JOBS_WORK_HERE", True)
    jobs_workers: int = _setting("JOBS_WORKERS", 4)
    jobs_concurrency: int = _setting("JOBS_CONCURRENCY", 4)
    jobs_max_items: int = _setting("JOBS_MAX_ITEMS", 1000)
    jobs_max_bytes: int = _setting("JOBS_MAX_BYTES", 10_000_000)
    jobs_keep: float = _setting("JOBS_KEEP", 7 * 24 * 3600.0)
    jobs_lease: float = _setting("JOBS_LEASE", 30.0)

    @classmethod
    def from_mapping(cls, *sources: Mapping[str, str | None]) -> Settings:
        """Read each setting from the first source that has it, without the blanks around; raises ConfigurationError."""
        values: dict[str, Any] = {
            item.name: _typed(item.metadata["name"], raw, item.default)
            for item in fields(cls)
            if (raw := _lookup(sources, item.metadata["name"]))
        }
        return cls(**values)

    @classmethod
    def load(cls, directory: Path | None = None) -> Settings:
        """Read the settings of this process, and those of `.env` in its working directory where the process has none."""
        return cls.from_mapping(os.environ, dotenv_values((directory or Path.cwd()) / ".env"))

    def missing(self) -> tuple[str, ...]:
        """Name the settings that a call to Stackspot cannot do without and that are not there."""
        required = ("client_id", "client_secret", "realm")
        return tuple(
            item.metadata["name"] for item in fields(self) if item.name in required and not getattr(self, item.name)
        )

    def require_credentials(self) -> None:
        """Raise ConfigurationError where a credential is missing."""
        if missing := self.missing():
            # LiteLLM redacts what follows the word CLIENT_SECRET and a blank, whatever it is.
            raise ConfigurationError(
                f"Stackspot is not configured. Missing: {', '.join(missing)}. "
                "Set it in the environment, or in .env beside config.yaml, and start the proxy again."
            )


def _lookup(sources: Iterable[Mapping[str, str | None]], name: str) -> str:
    names = (name if name.startswith(PREFIX) else PREFIX + name, name)
    found = ((source.get(known) or "").strip() for source in sources for known in names)
    return next(filter(None, found), "")


def _typed(name: str, raw: str, default: object) -> object:
    """Turn text into the type of the setting's default."""
    if isinstance(default, bool):
        return _switch(name, raw)
    if isinstance(default, int):
        return _count(name, raw)
    if isinstance(default, float):
        return _seconds(name, raw)
    return raw.rstrip("/") if name.endswith("_URL") else raw


def _switch(name: str, raw: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if raw.lower() not in known:
        raise ConfigurationError(f"{name} is {raw!r}: say true or false.")
    return known[raw.lower()]


def _count(name: str, raw: str) -> int:
    if not raw.isascii() or not raw.isdigit() or not int(raw):
        raise ConfigurationError(f"{name} is {raw!r}: give a whole number above zero.")
    return int(raw)


def _seconds(name: str, raw: str) -> float:
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise ConfigurationError(f"{name} is {raw!r}: give a number of seconds above zero.")
    return value
