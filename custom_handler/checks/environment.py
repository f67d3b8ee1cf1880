"""Check the values of settings, without LiteLLM or the network; faults show no secret."""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import httpx

from ..data_class import data_class
from ..errors import ConfigurationError
from ..provider.litellm_call import is_agent_id, malformed_agent
from ..proxy.key_entries import SHORTEST_KEY, read_entries
from ..setting_fields import PREFIX
from ..settings import Settings, all_fields

PLATFORM_LIMIT = 100
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")

_KNOWN_KEYS = {"sk-litellm-master-key", "your-master-key-here", "sk-1234567890abcdef"}
_PASSWORD = re.compile(r"(?<=//)[^/\s]*@|^[^/\s]*@")
_LOOKS_LIKE_ID = re.compile(r"0[0-9A-Za-z]{19,31}")
_MIN_DISTINCT = 8  # characters of a key
_SIMILARITY = 0.6
_SIMILARITY_WITHOUT_PREFIX = 0.88  # higher, because the name may belong to another program


@data_class
class Fault:
    """What is wrong and what to do about it; `where` names the setting, the model or the file."""

    where: str
    message: str

    def __str__(self) -> str:
        """Return one line that contains `where`."""
        return self.message if self.where in self.message else f"{self.where}: {self.message}"


def masked(value: str) -> str:
    """Return a URL without its user and password."""
    return _PASSWORD.sub("…@", value, count=1)


def value_fault(name: str, value: str) -> str | None:
    """Return what is wrong with a setting's value of the right type, or None."""
    return check(name, value) if (check := _CHECKS.get(name)) else None


def agent_fault(chosen: str, model: str) -> str | None:
    """Return what is wrong with the agent id `chosen`, or with a `model` meant as an id."""
    if _LOOKS_LIKE_ID.fullmatch(model) and not is_agent_id(model):
        return malformed_agent(model)  # otherwise the agent of GENAI_AGENT_ID would answer
    return None if is_agent_id(chosen) else malformed_agent(chosen)


def url_fault(name: str, value: str) -> str | None:
    """Return what is wrong with an HTTP URL, or None."""
    try:
        url = httpx.URL(value)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    if url.scheme in {"http", "https"} and url.host and (url.port or 1) < 65536 and not re.search(r"\s", value):
        return None
    return f"{name} is {masked(value)!r}: it is not an address. Write it as https://host or http://host:port."


def proxy_fault(name: str, value: str) -> str | None:
    """Return what is wrong with the URL of an HTTP proxy, or None."""
    if value.lower().startswith("socks"):
        return f"{name} is {masked(value)!r}: SOCKS is not supported. Name an HTTP proxy, as http://host:port."
    fault = url_fault(name, value)
    return fault and f"{name} is {masked(value)!r}: it is not an address of a proxy. Write it as http://host:port."


def redis_url_fault(value: str) -> str | None:
    """Return what is wrong with a Redis URL, or None."""
    from redis.connection import parse_url  # noqa: PLC0415  loaded only if Redis is used

    try:
        parsed = parse_url(value)  # type: ignore[no-untyped-call]
    except (ValueError, AttributeError):
        parsed = {}
    if parsed.get("host") and value.startswith(("redis://", "rediss://")):
        return None
    return (
        f"REDIS_URL is {masked(value)!r}: it is not an address of a Redis. "
        "Write it as redis://:password@host:6379/0, or with rediss:// for TLS."
    )


def keys_file_fault(value: str) -> str | None:
    """Return what is wrong with the file of named keys, or None."""
    return _configuration_error(lambda: read_entries(Path(value)))


def ca_bundle_fault(value: str) -> str | None:
    """Return what is wrong with this file of certificates or that of SSL_CERT_FILE, or None."""
    from ..stackspot.http.tls import tls_context  # noqa: PLC0415  it loads httpx

    return _configuration_error(lambda: tls_context(value))


def folder_fault(name: str, value: str) -> str | None:
    """Return why no file can be written to a folder or its nearest existing parent, or None."""
    folder = Path(value)
    try:
        parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=parent):
            return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return f"{name} is {value[:80]!r}: no file can be written there ({reason}). Name a folder that this user can write to."


def requests_fault(name: str, value: str) -> str | None:
    """Return a fault if the budget is above the platform's limit for an account."""
    if not value.isdecimal() or int(value) <= PLATFORM_LIMIT:
        return None
    return (
        f"{name} is {value}: the platform allows {PLATFORM_LIMIT} a minute for the whole account. "
        f"Set at most {PLATFORM_LIMIT}, or 0 to leave the limit to the platform."
    )


def master_key_fault(name: str, value: str) -> str | None:
    """Return a fault if a master key is easy to guess."""
    if len(value) >= SHORTEST_KEY and len(set(value)) >= _MIN_DISTINCT and value.lower() not in _KNOWN_KEYS:
        return None
    return f"{name} is weak: it is short, or easy to guess. Empty it in .env, and the next start writes a strong one."


def folder_faults(settings: Settings) -> list[Fault]:
    """Check the folders that a proxy with these settings writes to."""
    jobs = settings.services.enabled and settings.jobs.enabled
    used = {
        "RUNS_DIR": settings.telemetry.runs_dir if settings.telemetry.enabled else "",
        "JOBS_DIR": settings.jobs.directory if jobs and not settings.redis.url else "",
    }
    return [Fault(name, fault) for name, value in used.items() if value and (fault := folder_fault(name, value))]


def environment_faults(environ: Mapping[str, str]) -> list[Fault]:
    """Check the variables that HTTP clients read: the proxies and the file of certificates."""
    values = [(name, environ.get(name, "").strip()) for name in PROXIES]
    faults = [Fault(name, fault) for name, value in values if value and (fault := proxy_fault(name, value))]
    if environ.get("SSL_CERT_FILE") and (fault := ca_bundle_fault("")):
        faults.append(Fault("SSL_CERT_FILE", fault))
    return faults


def unknown_names(environ: Mapping[str, str], dotenv: Iterable[str], known: Iterable[str]) -> list[Fault]:
    """Report unknown names with our prefix, and names in .env that are nearly known."""
    bare = {str(item.metadata["name"]) for item in all_fields()}
    ours = bare | {name if name.startswith(PREFIX) else PREFIX + name for name in bare}
    named, others = set(dotenv), set(known) | {"LITELLM_MASTER_KEY", "AWS_REGION"}
    faults = []
    for name in sorted(named | {name for name in environ if name.upper().startswith(PREFIX)}):
        prefixed = name.upper().startswith(PREFIX)
        near = difflib.get_close_matches(
            name.upper(), ours | others, 1, _SIMILARITY if prefixed else _SIMILARITY_WITHOUT_PREFIX
        )
        if name in ours | others or not (prefixed or near):
            continue
        cure = (
            f"did you mean {near[0]}?" if near else "remove it, or see docs/configuration.md for the names there are."
        )
        faults.append(Fault(name, f"{name} is not a setting of this package: {cure}"))
    return faults


def _configuration_error(action: Callable[[], object]) -> str | None:
    try:
        action()
    except ConfigurationError as error:
        return error.message
    return None


_CHECKS: Mapping[str, Callable[[str, str], str | None]] = {
    "STACKSPOT_IDM_URL": url_fault,
    "STACKSPOT_INFERENCE_URL": url_fault,
    "STACKSPOT_FILES_URL": url_fault,
    "STACKSPOT_AGENTS_URL": url_fault,
    "STACKSPOT_QUICK_COMMANDS_URL": url_fault,
    "STACKSPOT_ERRORS_URL": url_fault,
    "STACKSPOT_CA_BUNDLE": lambda _, value: ca_bundle_fault(value),
    "STACKSPOT_REQUESTS_PER_MINUTE": requests_fault,
    "REDIS_URL": lambda _, value: redis_url_fault(value),
    "KEYS_FILE": lambda _, value: keys_file_fault(value),
    "LITELLM_MASTER_KEY": master_key_fault,
}
