"""The settings of the package, read from the environment (and from `.env`, which never overrides it)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from .env_file import dotenv_files
from .errors import ConfigurationError

PREFIX = "STACKSPOT_"
_SECRET = ("CLIENT_SECRET", "CLIENT_SECRET_FILE")


def _setting(
    name: str, default: Any, meaning: str, *, secret: bool = False, least: int = 0, choices: tuple[str, ...] = ()
) -> Any:
    return field(
        default=default,
        repr=not secret,
        metadata={"name": name, "meaning": meaning, "least": least, "choices": choices},
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, by the name that the environment gives it; each is also found with the prefix `STACKSPOT_`.

    `client_secret` is what the portal calls the client key; it may stand in the file `client_secret_file` instead, as
    Docker and Kubernetes give secrets. `realm` is the account's slug. Times are in seconds.
    """

    client_id: str = _setting("CLIENT_ID", "", "the account's client id")
    client_secret: str = _setting("CLIENT_SECRET", "", "the account's client key, as the portal calls it", secret=True)
    client_secret_file: str = _setting(
        "CLIENT_SECRET_FILE",
        "",
        "a file that holds the client key instead, as Docker and Kubernetes give secrets; read again when a token is refused",
    )
    realm: str = _setting("REALM", "", "the account's slug")
    agent_id: str = _setting("GENAI_AGENT_ID", "", "the agent behind `stackspot-chat`, 26 characters")
    idm_url: str = _setting("STACKSPOT_IDM_URL", "https://idm.stackspot.com", "where tokens come from")
    inference_url: str = _setting(
        "STACKSPOT_INFERENCE_URL", "https://genai-inference-app.stackspot.com", "where the agents are"
    )
    files_url: str = _setting(
        "STACKSPOT_FILES_URL", "https://data-integration-api.stackspot.com", "where files are uploaded"
    )
    ca_bundle: str = _setting(
        "STACKSPOT_CA_BUNDLE", "", "a PEM file of certificate authorities, trusted besides those of the system"
    )
    require_correlation_id: bool = _setting(
        "STACKSPOT_REQUIRE_CORRELATION_ID", False, "refuse requests without the header `correlation-id`"
    )
    timeout: float = _setting(
        "STACKSPOT_TIMEOUT",
        600.0,
        "seconds to the end of an answer; a client's own timeout may be shorter, never longer",
    )
    repair: bool = _setting(
        "STACKSPOT_REPAIR", True, "ask the agent once more, hidden, for a call or JSON that cannot be read"
    )
    max_prompt_chars: int = _setting(
        "STACKSPOT_MAX_PROMPT_CHARS",
        1_000_000,
        "longest prompt; a longer conversation loses its oldest turns, then the middle of its largest results",
        least=1,
    )
    conversation_keep: float = _setting(
        "STACKSPOT_CONVERSATION_KEEP",
        1800.0,
        "seconds after its last answer for which a conversation that the platform keeps is gone on with (`conversation: native`)",
    )
    max_retries: int = _setting(
        "STACKSPOT_MAX_RETRIES",
        3,
        "how often a failure that may pass is tried again, before the first byte of an answer (faults.md)",
    )
    requests_per_minute: int = _setting(
        "STACKSPOT_REQUESTS_PER_MINUTE",
        90,
        "the account's budget, the platform's own limit being 100; further calls queue. `0`: no budget",
    )
    max_concurrency: int = _setting(
        "STACKSPOT_MAX_CONCURRENCY", 16, "how many calls a process has at the agent at once", least=1
    )
    max_waiting: int = _setting(
        "STACKSPOT_MAX_WAITING", 200, "how many calls may wait for a place; one more is a 429 with `Retry-After`"
    )
    queue_timeout: float = _setting(
        "STACKSPOT_QUEUE_TIMEOUT",
        60.0,
        "seconds that a call waits for its place; past them it is a 429 with `Retry-After`",
    )
    uploads: bool = _setting(
        "STACKSPOT_UPLOADS",
        False,
        "upload images and files of a request for the agent (enterprise accounts only); off, it is told their names",
    )
    upload_bytes: int = _setting("STACKSPOT_UPLOAD_BYTES", 10_000_000, "the largest file, in bytes", least=1)
    upload_files: int = _setting(
        "STACKSPOT_UPLOAD_FILES", 20, "the most files of a conversation, equal ones counted once", least=1
    )
    upload_expiration: int = _setting(
        "STACKSPOT_UPLOAD_EXPIRATION",
        600,
        "the `expiration` that an upload asks for, taken as seconds; for a little less the same file is not uploaded again",
        least=1,
    )
    upload_urls: bool = _setting(
        "STACKSPOT_UPLOAD_URLS",
        False,
        "fetch what a request names by an https address, never from private networks nor through a proxy, and upload it",
    )
    redis_url: str = _setting(
        "REDIS_URL",
        "",
        "the Redis in which jobs are kept and processes share budget and kept conversations, such as `redis://:password@host:6379/0`",
        secret=True,
    )
    redis_host: str = _setting("REDIS_HOST", "", "instead of `REDIS_URL`, for all but jobs: the host of the Redis")
    redis_port: int = _setting("REDIS_PORT", 6379, "its port", least=1)
    redis_username: str = _setting("REDIS_USERNAME", "", "its user")
    redis_password: str = _setting("REDIS_PASSWORD", "", "its password", secret=True)
    redis_db: int = _setting("REDIS_DB", 0, "its database")
    redis_ssl: bool = _setting("REDIS_SSL", False, "speak TLS to it")
    keys_file: str = _setting("KEYS_FILE", "", "a YAML file of named API keys, each with a rate limit (README)")
    log_level: str = _setting(
        "LOG_LEVEL",
        "info",
        "level of the logger `custom_handler`",
        choices=("debug", "info", "warning", "error", "critical"),
    )
    services: bool = _setting("STACKSPOT_SERVICES", True, "add the routes of the chat services and jobs to the proxy")
    default_model: str = _setting(
        "DEFAULT_MODEL", "stackspot-chat", "the model of a question to the chat services that names none"
    )
    session_turns: int = _setting(
        "STACKSPOT_SESSION_TURNS", 20, "how many turns a session of the WebSocket remembers at most", least=1
    )
    session_bytes: int = _setting(
        "STACKSPOT_SESSION_BYTES", 100_000, "how many bytes a session of the WebSocket remembers at most", least=1
    )
    message_bytes: int = _setting(
        "STACKSPOT_MESSAGE_BYTES",
        262_144,
        "the longest message over the WebSocket; the server itself closes a socket at 16 MB",
        least=1,
    )
    jobs: bool = _setting("JOBS", True, "add the jobs' routes to the proxy")
    jobs_dir: str = _setting("JOBS_DIR", "jobs", "the folder of the jobs' SQLite file, where there is no Redis")
    jobs_work_here: bool = _setting(
        "JOBS_WORK_HERE",
        True,
        "work on jobs in the proxy's own processes; `false` leaves it to `python -m custom_handler worker`",
    )
    jobs_workers: int = _setting("JOBS_WORKERS", 4, "jobs at once in a process", least=1)
    jobs_concurrency: int = _setting("JOBS_CONCURRENCY", 4, "calls at once for a job", least=1)
    jobs_max_items: int = _setting("JOBS_MAX_ITEMS", 1000, "the most items of a job", least=1)
    jobs_max_bytes: int = _setting("JOBS_MAX_BYTES", 10_000_000, "the largest job, in bytes of JSON", least=1)
    jobs_keep: float = _setting(
        "JOBS_KEEP", 7 * 24 * 3600.0, "seconds for which a job that ended is kept, with its questions and answers"
    )
    jobs_lease: float = _setting(
        "JOBS_LEASE", 30.0, "seconds after which another process takes over from one that died"
    )
    startup_check: str = _setting(
        "STARTUP_CHECK",
        "strict",
        "what a fault of the configuration does at the start: `strict` (the proxy does not start), `warn` or `off`",
        choices=("off", "warn", "strict"),
    )
    telemetry: bool = _setting("STACKSPOT_TELEMETRY", True, "write a line about each call")
    runs_dir: str = _setting("RUNS_DIR", "runs", "the folder of these lines, one within for each start")
    log_messages: bool = _setting("LOG_MESSAGES", False, "write questions and answers into those lines too")

    @classmethod
    def from_mapping(cls, *sources: Mapping[str, str | None]) -> Settings:
        """Read each setting from the first source that has it, without the blanks around; raises ConfigurationError."""
        # The secret and its file are two ways to say one thing: a later source has no part in it.
        of_secret = [next((source for source in sources if any(lookup([source], name) for name in _SECRET)), {})]
        values: dict[str, Any] = {
            item.name: _typed(item, raw)
            for item in fields(cls)
            if (raw := lookup(of_secret if (name := item.metadata["name"]) in _SECRET else sources, name))
        }
        if (file := values.get("client_secret_file")) and not values.get("client_secret"):
            values["client_secret"] = _content(file)
        return cls(**values)

    @classmethod
    def load(cls, directory: Path | None = None) -> Settings:
        """Read the settings of this process, and those of its `.env` files where the process has none."""
        files = [directory / ".env"] if directory else dotenv_files()
        return cls.from_mapping(os.environ, *map(dotenv_values, files))

    @classmethod
    def reloader(cls) -> Callable[[], Settings]:
        """Return what reads the settings again later, with what the files hold by then.

        What the environment has from `.env`, as the proxy puts it there, is that of before: only the rest of it still wins.
        """
        files = dotenv_files()
        before = [dotenv_values(file) for file in files]
        own = {name: value for name, value in os.environ.items() if all(values.get(name) != value for values in before)}
        return lambda: cls.from_mapping(own, *map(dotenv_values, files), os.environ)

    def missing(self) -> tuple[str, ...]:
        """Name the settings that a call to StackSpot cannot do without and that are not there."""
        required = ("client_id", "client_secret", "realm")
        return tuple(
            item.metadata["name"] for item in fields(self) if item.name in required and not getattr(self, item.name)
        )

    def require_credentials(self) -> None:
        """Raise ConfigurationError where a credential is missing."""
        if missing := self.missing():
            # LiteLLM redacts what follows the word CLIENT_SECRET and a blank, whatever it is.
            raise ConfigurationError(
                f"StackSpot is not configured. Missing: {', '.join(missing)}. "
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
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"CLIENT_SECRET_FILE is {file!r}: it cannot be read ({type(error).__name__}). Name a text file that can."
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
