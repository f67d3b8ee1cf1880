"""Checks of settings that show only in use: addresses, files, folders, Redis, names of config.yaml, unknown variables."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx

from ..call import is_agent_id, malformed_agent
from ..errors import ConfigurationError
from ..replies import PROVIDER
from ..settings import PREFIX, Settings
from .config import Deployment, callbacks, deployments
from .key_entries import SHORTEST_KEY, read_entries

TIMEOUT = 5.0
PLATFORM_LIMIT = 100  # requests a minute of an account (the Agent API's contract)
KNOWN_KEYS = frozenset({"sk-1234", "fake-key", "sk-not-a-secret", "anything"})
_SIMILAR = 0.6


async def check_settings(config: Mapping[str, Any], settings: Settings, environ: Mapping[str, str | None]) -> list[str]:
    """Return the faults, each with what to do; `environ` is the environment with the values of `.env`."""
    faults = [
        *_agents(config, settings),
        *_malformed_addresses(settings),
        *_files(settings),
        *_folders(settings),
        *_master_key(environ),
        *_unknown_names(environ),
        *_names(config),
    ]
    if settings.requests_per_minute > PLATFORM_LIMIT:
        faults.append(
            f"STACKSPOT_REQUESTS_PER_MINUTE is {settings.requests_per_minute}: the platform allows {PLATFORM_LIMIT} a minute "
            f"for the whole account, so set at most {PLATFORM_LIMIT}."
        )
    reached = await asyncio.gather(_inference(settings), asyncio.to_thread(_redis, settings))
    return [*faults, *filter(None, reached)]


def _agents(config: Mapping[str, Any], settings: Settings) -> Iterator[str]:
    try:
        models = [model for model in deployments(config) if model.provider == PROVIDER]
    except ConfigurationError:
        return
    for agent in dict.fromkeys(agent_of(model, settings) for model in models):
        if agent and not is_agent_id(agent):
            yield malformed_agent(agent)


def agent_of(model: Deployment, settings: Settings) -> str:
    """Return the agent of a model of StackSpot, however it is configured; empty where it has none."""
    return str(model.info.get("agent_id") or (model.model if is_agent_id(model.model) else settings.agent_id))


def _malformed_addresses(settings: Settings) -> Iterator[str]:
    for item in fields(settings):
        value, name = getattr(settings, item.name), item.metadata["name"]
        if not name.endswith("_URL") or not value or name == "REDIS_URL":
            continue
        if not _is_address(value):
            yield f"{name} is {_shown(value)}: it is not an address. Write it as https://host."
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        if (value := os.environ.get(name)) and not _is_address(value if "//" in value else f"http://{value}"):
            yield f"{name} is {_shown(value)}: it is not an address. Write it as http://host:port."


def _is_address(value: str) -> bool:
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        return False
    return url.scheme in {"http", "https"} and bool(url.host) and " " not in value


def _shown(value: str) -> str:
    """Return a value without the user and password that an address may hold."""
    return repr(value if "@" not in value else f"…@{value.rpartition('@')[2]}")


def _files(settings: Settings) -> Iterator[str]:
    if settings.keys_file:
        try:
            read_entries(Path(settings.keys_file))
        except ConfigurationError as error:
            yield error.message
    if settings.ca_bundle:
        try:
            ssl.create_default_context(cafile=settings.ca_bundle)
        except (OSError, ssl.SSLError) as error:
            yield (
                f"STACKSPOT_CA_BUNDLE is {settings.ca_bundle!r}: no certificate can be read from it "
                f"({type(error).__name__}). Name a PEM file of certificate authorities."
            )


def _folders(settings: Settings) -> Iterator[str]:
    used = {"RUNS_DIR": settings.runs_dir if settings.telemetry else ""}
    if settings.jobs and settings.services and not settings.redis_url:
        used["JOBS_DIR"] = settings.jobs_dir
    for name, folder in used.items():
        if folder and (problem := _unwritable(Path(folder))):
            yield f"{name} is {folder!r}: {problem}. Name a folder that the proxy can write to."


def _unwritable(folder: Path) -> str | None:
    existing = folder.absolute()
    try:
        while not existing.exists():
            existing = existing.parent
    except OSError as error:  # such as a name that is too long
        return f"it cannot be used ({error.strerror})"
    if not existing.is_dir():
        return f"{existing.name} is a file"
    return None if os.access(existing, os.W_OK | os.X_OK) else "it is not writable"


def _master_key(environ: Mapping[str, str | None]) -> Iterator[str]:
    key = (environ.get("LITELLM_MASTER_KEY") or "").strip()
    if key and (key in KNOWN_KEYS or len(key) < SHORTEST_KEY):
        yield (
            "LITELLM_MASTER_KEY is weak: it is short, or publicly known. Empty it in .env, and the next start writes a "
            "strong one."
        )


def _unknown_names(environ: Mapping[str, str | None]) -> Iterator[str]:
    bare = {str(item.metadata["name"]) for item in fields(Settings)}
    known = bare | {PREFIX + name for name in bare if not name.startswith(PREFIX)}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in known:
            continue
        similar = difflib.get_close_matches(name, known, n=1, cutoff=_SIMILAR)
        hint = f"did you mean {similar[0]}?" if similar else "see docs/configuration.md for the names."
        yield f"{name} is not a setting of this package: {hint}"


def _names(config: Mapping[str, Any]) -> Iterator[str]:
    """Find objects and models that config.yaml names and that do not exist."""
    litellm_settings, general = config.get("litellm_settings") or {}, config.get("general_settings") or {}
    handlers = [entry.get("custom_handler") for entry in litellm_settings.get("custom_provider_map") or ()]
    dotted = [*handlers, *callbacks(config), general.get("custom_auth")]
    for name in dict.fromkeys(name for name in dotted if isinstance(name, str) and "." in name):
        if fault := _import_fault(name):
            yield fault
    yield from _model_names(config)


def _import_fault(name: str) -> str | None:
    module, _, attribute = name.rpartition(".")
    try:
        found = hasattr(importlib.import_module(module), attribute)
    except ConfigurationError:
        return None  # reported where the settings are checked
    except Exception as error:  # noqa: BLE001  the operator's own module may raise anything
        return f"config.yaml names {name}, but {module} cannot be imported ({type(error).__name__}): correct the name."
    return None if found else f"config.yaml names {name}, but {module} has no {attribute}: correct the name."


def _model_names(config: Mapping[str, Any]) -> Iterator[str]:
    router = {**(config.get("litellm_settings") or {}), **(config.get("router_settings") or {})}
    aliases = router.get("model_group_alias") or {}
    try:
        known = {model.name for model in deployments(config)} | set(aliases)
    except ConfigurationError:
        return
    named = [(f"model_group_alias.{name}", [target]) for name, target in aliases.items()]
    for key in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
        for entry in router.get(key) or ():
            for name, targets in entry.items() if isinstance(entry, Mapping) else ():
                named.append((key, [name, *(targets if isinstance(targets, list) else [targets])]))
    named.append(("default_fallbacks", list(router.get("default_fallbacks") or ())))
    for where, targets in named:
        for target in targets:
            name = target.get("model") if isinstance(target, Mapping) else target
            if isinstance(name, str) and name not in known and name != "*" and not _matches_wildcard(name, known):
                yield f"{where} of config.yaml names the model {name!r}, which is not in model_list: correct it."


def _matches_wildcard(name: str, known: set[str]) -> bool:
    return any(pattern.endswith("*") and name.startswith(pattern[:-1]) for pattern in known)


async def _inference(settings: Settings) -> str | None:
    """Reach the host of the agents, whatever it answers: a request without a token uses no quota."""
    if not _is_address(settings.inference_url):
        return None
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT, verify=_trusted(settings)) as client:
            await client.get(settings.inference_url)
    except (httpx.HTTPError, OSError, ssl.SSLError) as error:
        return (
            f"STACKSPOT_INFERENCE_URL cannot be reached ({type(error).__name__}): check the network, HTTPS_PROXY, and the "
            "setting if you changed it."
        )
    return None


def _trusted(settings: Settings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if settings.ca_bundle:
        context.load_verify_locations(cafile=settings.ca_bundle)
    return context


def _redis(settings: Settings) -> str | None:
    name = "REDIS_URL" if settings.redis_url else "REDIS_HOST"
    if not (settings.redis_url or settings.redis_host):
        return None
    import redis  # noqa: PLC0415  0.1 s, for those who have one

    try:
        if settings.redis_url:
            client = redis.Redis.from_url(settings.redis_url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        else:
            client = redis.Redis(
                host=settings.redis_host,
                port=settings.redis_port,
                username=settings.redis_username or None,
                password=settings.redis_password or None,
                db=settings.redis_db,
                ssl=settings.redis_ssl,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
            )
        with client:
            client.ping()
    except (ValueError, TypeError):
        return f"{name} is not a valid address of a Redis: write it as redis://:password@host:6379/0."
    except (redis.RedisError, OSError) as error:
        return f"The Redis of {name} cannot be reached ({type(error).__name__}): check that it runs, and its password."
    return None
