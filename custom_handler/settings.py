"""The settings of the package, read from the environment (and from `.env`, which never overrides it)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from .errors import ConfigurationError

PREFIX = "STACKSPOT_"


def _setting(name: str, default: Any, *, secret: bool = False, least: int = 0, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, repr=not secret, metadata={"name": name, "least": least, "choices": choices})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, by the name that the environment gives it; each is also found with the prefix `STACKSPOT_`.

    `client_secret` is what the portal calls the client key; it may stand in the file `client_secret_file` instead, as
    Docker and Kubernetes give secrets. `realm` is the account's slug. Times are in seconds.
    """

    client_id: str = _setting("CLIENT_ID", "")
    client_secret: str = _setting("CLIENT_SECRET", "", secret=True)
    client_secret_file: str = _setting("CLIENT_SECRET_FILE", "")
    realm: str = _setting("REALM", "")
    agent_id: str = _setting("GENAI_AGENT_ID", "")
    idm_url: str = _setting("STACKSPOT_IDM_URL", "https://idm.stackspot.com")
    inference_url: str = _setting("STACKSPOT_INFERENCE_URL", "https://genai-inference-app.stackspot.com")
    ca_bundle: str = _setting("STACKSPOT_CA_BUNDLE", "")
    require_correlation_id: bool = _setting("STACKSPOT_REQUIRE_CORRELATION_ID", False)
    timeout: float = _setting("STACKSPOT_TIMEOUT", 600.0)
    repair: bool = _setting("STACKSPOT_REPAIR", True)
    max_prompt_chars: int = _setting("STACKSPOT_MAX_PROMPT_CHARS", 1_000_000, least=1)
    max_retries: int = _setting("STACKSPOT_MAX_RETRIES", 3)
    requests_per_minute: int = _setting("STACKSPOT_REQUESTS_PER_MINUTE", 90)
    max_concurrency: int = _setting("STACKSPOT_MAX_CONCURRENCY", 16, least=1)
    max_waiting: int = _setting("STACKSPOT_MAX_WAITING", 200)
    queue_timeout: float = _setting("STACKSPOT_QUEUE_TIMEOUT", 60.0)
    redis_url: str = _setting("REDIS_URL", "", secret=True)
    redis_host: str = _setting("REDIS_HOST", "")
    redis_port: int = _setting("REDIS_PORT", 6379, least=1)
    redis_password: str = _setting("REDIS_PASSWORD", "", secret=True)
    keys_file: str = _setting("KEYS_FILE", "")
    log_level: str = _setting("STACKSPOT_LOG_LEVEL", "INFO")
    services: bool = _setting("STACKSPOT_SERVICES", True)
    default_model: str = _setting("DEFAULT_MODEL", "stackspot-chat")
    session_turns: int = _setting("STACKSPOT_SESSION_TURNS", 20, least=1)
    session_bytes: int = _setting("STACKSPOT_SESSION_BYTES", 100_000, least=1)
    message_bytes: int = _setting("STACKSPOT_MESSAGE_BYTES", 262_144, least=1)
    jobs: bool = _setting("JOBS", True)
    jobs_dir: str = _setting("JOBS_DIR", "jobs")
    jobs_work_here: bool = _setting("JOBS_WORK_HERE", True)
    jobs_workers: int = _setting("JOBS_WORKERS", 4, least=1)
    jobs_concurrency: int = _setting("JOBS_CONCURRENCY", 4, least=1)
    jobs_max_items: int = _setting("JOBS_MAX_ITEMS", 1000, least=1)
    jobs_max_bytes: int = _setting("JOBS_MAX_BYTES", 10_000_000, least=1)
    jobs_keep: float = _setting("JOBS_KEEP", 7 * 24 * 3600.0)
    jobs_lease: float = _setting("JOBS_LEASE", 30.0)
    startup_check: str = _setting("STARTUP_CHECK", "warn", choices=("off", "warn", "strict"))
    telemetry: bool = _setting("STACKSPOT_TELEMETRY", True)
    runs_dir: str = _setting("RUNS_DIR", "runs")
    log_messages: bool = _setting("LOG_MESSAGES", False)

    @classmethod
    def from_mapping(cls, *sources: Mapping[str, str | None]) -> Settings:
        """Read each setting from the first source that has it, without the blanks around; raises ConfigurationError."""
        values: dict[str, Any] = {
            item.name: _typed(item, raw) for item in fields(cls) if (raw := lookup(sources, item.metadata["name"]))
        }
        if (file := values.get("client_secret_file")) and not values.get("client_secret"):
            values["client_secret"] = _content(file)
        return cls(**values)

    @classmethod
    def load(cls, directory: Path | None = None) -> Settings:
        """Read the settings of this process, and those of `.env` in its working directory where the process has none."""
        return cls.from_mapping(os.environ, dotenv_values((directory or Path.cwd()) / ".env"))

    @classmethod
    def reload(cls) -> Settings:
        """Read what the files hold by now: `.env` goes first, for a running process has its environment from before."""
        return cls.from_mapping(dotenv_values(Path.cwd() / ".env"), os.environ)

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


def lookup(sources: Iterable[Mapping[str, str | None]], name: str) -> str:
    """Find a setting's text in the first source that has it, under its name or the prefixed one; empty where none has."""
    names = (name if name.startswith(PREFIX) else PREFIX + name, name)
    found = ((source.get(known) or "").strip() for source in sources for known in names)
    return next(filter(None, found), "")


def _content(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"CLIENT_SECRET_FILE is {file!r}: it cannot be read ({type(error).__name__})."
        ) from None


def _typed(item: Field[Any], raw: str) -> object:
    """Turn text into the type of the setting's default."""
    name, default, choices = item.metadata["name"], item.default, item.metadata["choices"]
    if choices and raw.lower() not in choices:
        raise ConfigurationError(f"{name} is {raw!r}: say {', '.join(choices[:-1])} or {choices[-1]}.")
    if choices:
        return raw.lower()
    if isinstance(default, bool):
        return _switch(name, raw)
    if isinstance(default, int):
        return _whole(name, raw, item.metadata["least"])
    if isinstance(default, float):
        return _seconds(name, raw)
    return raw.rstrip("/") if name.endswith("_URL") else raw


def _switch(name: str, raw: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if raw.lower() not in known:
        raise ConfigurationError(f"{name} is {raw!r}: say true or false.")
    return known[raw.lower()]


def _whole(name: str, raw: str, least: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", raw) or int(raw) < least:
        raise ConfigurationError(f"{name} is {raw!r}: give a whole number{' above zero' if least else ''}.")
    return int(raw)


def _seconds(name: str, raw: str) -> float:
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise ConfigurationError(f"{name} is {raw!r}: give a number of seconds above zero.")
    return value
