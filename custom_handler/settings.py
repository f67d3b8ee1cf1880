"""The settings of the package, read from the environment and from `.env`; the environment wins."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import Field, field, fields, replace
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from .data_class import data_class
from .env_file import dotenv_files
from .errors import ConfigurationError
from .setting_fields import group_fields, read_group, setting
from .upload_settings import UploadSettings as UploadSettings  # noqa: PLC0414  others import it from here

DEFAULT_ACCOUNT = "default"
"""The name of the account of CLIENT_ID, CLIENT_SECRET and REALM."""


@data_class
class AccountSettings:
    """The StackSpot account, its default agent and the platform's hosts.

    If `client_secret` is empty, `Settings.from_mapping` reads it from `client_secret_file`. `label`
    is the account's name in the file of accounts and in metrics.
    """

    client_id: str = setting("CLIENT_ID", "", "the account's client id")
    client_secret: str = setting("CLIENT_SECRET", "", "the account's client key, as the portal calls it", secret=True)
    client_secret_file: str = setting(
        "CLIENT_SECRET_FILE",
        "",
        "a file with the client key, for Docker and Kubernetes secrets; read again when a token is refused",
    )
    realm: str = setting("REALM", "", "the account's slug")
    accounts_file: str = setting(
        "STACKSPOT_ACCOUNTS_FILE",
        "",
        "a YAML file of further accounts, each chosen by `model_info.account` (operations.md)",
    )
    agent_id: str = setting("GENAI_AGENT_ID", "", "the agent behind `stackspot-chat`, 26 characters")
    idm_url: str = setting("STACKSPOT_IDM_URL", "https://idm.stackspot.com", "address of the identity service")
    inference_url: str = setting(
        "STACKSPOT_INFERENCE_URL", "https://genai-inference-app.stackspot.com", "address of the agents"
    )
    files_url: str = setting(
        "STACKSPOT_FILES_URL", "https://data-integration-api.stackspot.com", "address of the file service"
    )
    agents_url: str = setting(
        "STACKSPOT_AGENTS_URL", "https://genai-agent-tools-api.stackspot.com", "address of the list of agents"
    )
    quick_commands_url: str = setting(
        "STACKSPOT_QUICK_COMMANDS_URL",
        "https://genai-code-buddy-api.stackspot.com",
        "address of Quick Commands",
    )
    ca_bundle: str = setting(
        "STACKSPOT_CA_BUNDLE", "", "a PEM file of certificate authorities, trusted besides those of the system"
    )
    label: str = DEFAULT_ACCOUNT

    @property
    def name(self) -> str:
        """The account as `realm/client_id`."""
        return f"{self.realm}/{self.client_id}"

    @property
    def is_simulated(self) -> bool:
        """Whether the credentials are the simulator's own, which `run` and `simulate` set."""
        return self.realm == self.client_id == "simulator"

    def missing(self) -> tuple[str, ...]:
        """Return the environment names of the credentials that are not set."""
        required = {"CLIENT_ID": self.client_id, "CLIENT_SECRET": self.client_secret, "REALM": self.realm}
        return tuple(name for name, value in required.items() if not value)

    def require_credentials(self) -> None:
        """Raise ConfigurationError if a credential is not set."""
        if missing := self.missing():
            # LiteLLM redacts the word that follows CLIENT_SECRET and a blank.
            raise ConfigurationError(
                f"StackSpot is not configured. Missing: {', '.join(missing)}. "
                "Set it in the environment, or in .env beside config.yaml, and start the proxy again."
            )


@data_class
class LimitSettings:
    """Limits of calls to the agent; times are in seconds."""

    timeout: float = setting(
        "STACKSPOT_TIMEOUT",
        600.0,
        "seconds until an answer must be complete; a client may ask for less, not for more",
    )
    max_retries: int = setting(
        "STACKSPOT_MAX_RETRIES",
        3,
        "retries of a failure that may pass, before the first text of an answer ([faults.md](faults.md))",
    )
    requests_per_minute: int = setting(
        "STACKSPOT_REQUESTS_PER_MINUTE",
        90,
        "the account's quota; further calls queue. The platform's limit is 100. `0`: no limit",
    )
    requests_per_day: int = setting(
        "STACKSPOT_REQUESTS_PER_DAY", 0, "the account's requests in 24 hours; further calls return 429. `0`: no limit"
    )
    quick_commands_per_minute: int = setting(
        "STACKSPOT_QUICK_COMMANDS_PER_MINUTE",
        20,
        "the account's quota of Quick Commands; polls count, too. `0`: no limit ([quick-commands.md](quick-commands.md))",
    )
    quick_commands_per_day: int = setting("STACKSPOT_QUICK_COMMANDS_PER_DAY", 6000, "the same in 24 hours")
    quick_commands_poll: float = setting(
        "STACKSPOT_QUICK_COMMANDS_POLL", 2.0, "seconds before an execution is polled; they grow to five times that"
    )
    max_concurrency: int = setting("STACKSPOT_MAX_CONCURRENCY", 16, "concurrent calls of a process to agents", least=1)
    max_waiting: int = setting(
        "STACKSPOT_MAX_WAITING", 200, "calls that may wait in the queue; one more returns 429 with `Retry-After`"
    )
    queue_timeout: float = setting(
        "STACKSPOT_QUEUE_TIMEOUT",
        60.0,
        "seconds that a call may wait in the queue; after that it returns 429 with `Retry-After`",
    )


@data_class
class RequestSettings:
    """How one request is checked, rendered and answered."""

    require_correlation_id: bool = setting(
        "STACKSPOT_REQUIRE_CORRELATION_ID", False, "refuse requests without the header `correlation-id`"
    )
    repair: bool = setting(
        "STACKSPOT_REPAIR", True, "ask the agent once more, hidden from the client, if a call or JSON cannot be parsed"
    )
    follow_ups: int = setting(
        "STACKSPOT_FOLLOW_UPS",
        0,
        "how often a turn may ask the agent, hidden, for a call that its reply only announces: 0 to 2, and at most "
        "three requests a turn with the repair",
        most=2,
    )
    max_prompt_chars: int = setting(
        "STACKSPOT_MAX_PROMPT_CHARS",
        1_000_000,
        "longest prompt; from a longer conversation the oldest turns are removed, then the middle of the largest results",
        least=1,
    )
    max_answer_chars: int = setting(
        "STACKSPOT_MAX_ANSWER_CHARS",
        4_000_000,
        "longest text of an agent for one answer; at this length the answer ends with `finish_reason: length`",
        least=1,
    )
    max_frame_bytes: int = setting(
        "STACKSPOT_MAX_FRAME_BYTES",
        1_000_000,
        "largest frame of an agent's stream, or answer that is one JSON object; a larger one returns 502",
        least=1,
    )
    conversation_keep: float = setting(
        "STACKSPOT_CONVERSATION_KEEP",
        1800.0,
        "idle seconds after which a native conversation is restarted (`conversation: native`)",
    )
    cache_bytes: int = setting("STACKSPOT_CACHE_BYTES", 64_000_000, "bytes of cached answers in a process", least=1)


@data_class
class RedisSettings:
    """The Redis that processes share; `url` takes precedence over the other fields."""

    url: str = setting(
        "REDIS_URL",
        "",
        "the Redis for jobs, and for quota, spend and native conversations of several processes, such as `redis://:password@host:6379/0`",
        secret=True,
    )
    host: str = setting("REDIS_HOST", "", "the host of the Redis, instead of `REDIS_URL`; not for jobs")
    port: int = setting("REDIS_PORT", 6379, "its port", least=1)
    username: str = setting("REDIS_USERNAME", "", "its user")
    password: str = setting("REDIS_PASSWORD", "", "its password", secret=True)
    db: int = setting("REDIS_DB", 0, "its database")
    ssl: bool = setting("REDIS_SSL", False, "use TLS")

    @property
    def configured(self) -> bool:
        """Whether a URL or a host is set."""
        return bool(self.url or self.host)


@data_class
class ProxySettings:
    """Startup, keys and log of the proxy."""

    startup_check: str = setting(
        "STARTUP_CHECK",
        "strict",
        "if the configuration has a fault: `strict` (the proxy does not start), `warn` or `off`",
        choices=("off", "warn", "strict"),
    )
    errors_url: str = setting("STACKSPOT_ERRORS_URL", "", "address of the errors page; errors link to their entry")
    keys_file: str = setting("KEYS_FILE", "", "a YAML file of named API keys ([keys.md](keys.md))")
    agents_refresh: float = setting("STACKSPOT_AGENTS_REFRESH", 300.0, "seconds between two lists of `stackspot/*`")
    log_level: str = setting(
        "LOG_LEVEL",
        "info",
        "level of the logger `custom_handler`",
        choices=("debug", "info", "warning", "error", "critical"),
    )
    shortcuts: bool = setting(
        "STACKSPOT_SHORTCUTS",
        True,
        "replace functions of LiteLLM that repeat work in each request by cheaper ones with the same results, and "
        "prepare calls of agents without a thread",
    )


@data_class
class ServiceSettings:
    """The chat routes: /chat, the WebSocket and its sessions."""

    enabled: bool = setting("STACKSPOT_SERVICES", True, "add the routes of the chat services and jobs to the proxy")
    default_model: str = setting(
        "DEFAULT_MODEL", "stackspot-chat", "the model of the chat services, if a request names none"
    )
    session_turns: int = setting(
        "STACKSPOT_SESSION_TURNS", 20, "most turns that a WebSocket session remembers", least=1
    )
    session_bytes: int = setting(
        "STACKSPOT_SESSION_BYTES", 100_000, "most bytes that a WebSocket session remembers", least=1
    )
    message_bytes: int = setting(
        "STACKSPOT_MESSAGE_BYTES",
        262_144,
        "longest message on the WebSocket, in bytes; the server closes a socket at 16 MB",
        least=1,
    )


@data_class
class JobSettings:
    """Jobs and their workers; times are in seconds, sizes in bytes."""

    enabled: bool = setting("JOBS", True, "add the jobs' routes to the proxy")
    directory: str = setting(
        "JOBS_DIR",
        "jobs",
        "the folder of the SQLite files of jobs and spend, if there is no Redis",
    )
    work_here: bool = setting(
        "JOBS_WORK_HERE",
        True,
        "run jobs in the proxy's processes; `false` leaves them to `python -m custom_handler worker`",
    )
    workers: int = setting("JOBS_WORKERS", 4, "concurrent jobs of a process", least=1)
    concurrency: int = setting("JOBS_CONCURRENCY", 4, "concurrent calls of a job", least=1)
    max_items: int = setting("JOBS_MAX_ITEMS", 1000, "most items of a job", least=1)
    max_bytes: int = setting("JOBS_MAX_BYTES", 10_000_000, "the largest job, in bytes of JSON", least=1)
    keep: float = setting(
        "JOBS_KEEP", 7 * 24 * 3600.0, "seconds for which an ended job is kept, with its questions and answers"
    )
    lease: float = setting(
        "JOBS_LEASE", 30.0, "seconds after which another process takes over the jobs of one that crashed"
    )


@data_class
class ResponseSettings:
    """The responses of /v1/responses that later requests can continue."""

    keep: float = setting(
        "RESPONSES_KEEP", 30 * 24 * 3600.0, "seconds for which a response is kept; 0 keeps none", or_zero=True
    )
    max_bytes: int = setting("RESPONSES_MAX_BYTES", 1_000_000, "bytes of the largest conversation kept", least=1)
    per_key: int = setting("RESPONSES_PER_KEY", 10_000, "most responses kept for an API key, the newest", least=1)


@data_class
class TelemetrySettings:
    """The record of calls."""

    enabled: bool = setting("STACKSPOT_TELEMETRY", True, "write a line for each call")
    runs_dir: str = setting("RUNS_DIR", "runs", "the folder of these lines, with a folder for each start")
    log_messages: bool = setting("LOG_MESSAGES", False, "also write questions and answers into these lines")


@data_class
class Settings:
    """All settings, in groups; in the environment, each name may have the prefix `STACKSPOT_`.

    Examples:
        >>> settings = Settings.from_mapping({"REALM": "acme", "STACKSPOT_MAX_RETRIES": "1"})
        >>> settings.account.realm, settings.limits.max_retries
        ('acme', 1)
        >>> settings.changed(limits={"max_retries": 0}).limits.max_retries
        0
    """

    account: AccountSettings = field(default_factory=AccountSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    requests: RequestSettings = field(default_factory=RequestSettings)
    uploads: UploadSettings = field(default_factory=UploadSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    proxy: ProxySettings = field(default_factory=ProxySettings)
    services: ServiceSettings = field(default_factory=ServiceSettings)
    jobs: JobSettings = field(default_factory=JobSettings)
    responses: ResponseSettings = field(default_factory=ResponseSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    @classmethod
    def from_mapping(cls, *sources: Mapping[str, str | None]) -> Settings:
        """Read each setting from the first source that has it. Raises ConfigurationError."""
        return cls(**{name: read_group(group, sources) for name, group in setting_groups().items()})

    @classmethod
    def load(cls, directory: Path | None = None) -> Settings:
        """Read the environment, then `.env`: of `directory`, or see `env_file.dotenv_files`."""
        files = [directory / ".env"] if directory else dotenv_files()
        return cls.from_mapping(os.environ, *map(dotenv_values, files))

    @classmethod
    def account_reloader(cls) -> Callable[[], AccountSettings]:
        """Return a function that reads the account again, from the current `.env` files.

        The proxy copies `.env` into the environment at startup; these copies do not override it.
        """
        files = dotenv_files()
        before = [dotenv_values(file) for file in files]
        own = {name: value for name, value in os.environ.items() if all(values.get(name) != value for values in before)}
        return lambda: cls.from_mapping(own, *map(dotenv_values, files), os.environ).account

    def changed(self, **groups: Mapping[str, object]) -> Settings:
        """Return a copy with other values: `changed(group={field: value})`."""
        return replace(self, **{name: replace(getattr(self, name), **values) for name, values in groups.items()})


def setting_groups() -> dict[str, type]:
    """Return the class of each group, by its name in Settings."""
    return {group.name: group.default_factory for group in fields(Settings)}  # type: ignore[misc]


def all_fields() -> list[Field[Any]]:
    """Return the fields of all groups; for their `metadata` see `setting`."""
    return [item for group in setting_groups().values() for item in group_fields(group)]
