"""Check the names in config.yaml: objects to import, models of fallbacks and aliases."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..proxy.config import callbacks
from .environment import Fault

_SECTIONS = ("litellm_settings", "router_settings", "general_settings")
_SECTIONS_OF_MODELS = ("router_settings", "litellm_settings")
_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")

_EXPECTED_TYPES = tuple(
    (section, name, dict if name == "model_group_alias" else list)
    for section in _SECTIONS_OF_MODELS
    for name in (*_FALLBACKS, "default_fallbacks", "model_group_alias")
)


def drop_malformed_sections(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Return the configuration without malformed sections, and a fault for each of those."""
    faults = [
        Fault(name, f"{name} of config.yaml is not a mapping: write it as names and values, as docs/models.md shows.")
        for name in _SECTIONS
        if not isinstance(config.get(name) or {}, Mapping)
    ]
    wrong = {fault.where for fault in faults}
    valid = {name: value for name, value in config.items() if name not in wrong}
    settings = valid.get("litellm_settings") or {}
    providers = settings.get("custom_provider_map") or []
    if not isinstance(providers, list) or not all(isinstance(entry, Mapping) for entry in providers):
        where = "custom_provider_map"
        faults.append(
            Fault(where, f"{where} of config.yaml is not a list of providers: see docs/models.md for the form.")
        )
        valid["litellm_settings"] = {name: value for name, value in settings.items() if name != where}
    for section, name, expected in _EXPECTED_TYPES:
        if not isinstance((valid.get(section) or {}).get(name) or expected(), expected):
            form = "list" if expected is list else "mapping"
            faults.append(
                Fault(name, f"{name} of config.yaml is not a {form}: see LiteLLM's documentation for the form.")
            )
    return valid, faults


def callback_faults(config: Mapping[str, Any], known: Sequence[str]) -> list[Fault]:
    """Report likely misspellings of LiteLLM's callbacks; it has more callbacks than `known`."""
    faults = []
    for name in dict.fromkeys(name for name in callbacks(config) if "." not in name and name not in known):
        if near := difflib.get_close_matches(name, known, 1, 0.8):
            message = f"callbacks of config.yaml names {name!r}, which LiteLLM does not know: did you mean {near[0]}?"
            faults.append(Fault("callbacks", message))
    return faults


def import_faults(config: Mapping[str, Any], folder: Path) -> list[Fault]:
    """Report dotted names that cannot be imported; as LiteLLM does, search `folder` first."""
    settings, general = config.get("litellm_settings") or {}, config.get("general_settings") or {}
    named = [("custom_handler", entry.get("custom_handler")) for entry in settings.get("custom_provider_map") or ()]
    named += [("callbacks", name) for name in callbacks(config) if "." in name]
    named += [("custom_auth", general.get("custom_auth"))]
    faults = []
    for where, name in named:
        if (name is not None or where == "custom_handler") and (reason := _import_error(str(name or ""), folder)):
            faults.append(
                Fault(where, f"{where} of config.yaml names {str(name or '')!r}, which leads nowhere: {reason}")
            )
    return faults


def reference_faults(config: Mapping[str, Any], default_model: str | None = None) -> list[Fault]:
    """Report models of fallbacks, aliases and DEFAULT_MODEL that model_list does not have."""
    entries = config.get("model_list")
    entries = entries if isinstance(entries, list) else []
    models = [str(entry.get("model_name")) for entry in entries if isinstance(entry, Mapping)]
    if not models:
        return []
    aliases = _aliases(config)
    known = {*models, *aliases}
    named = [(f"model_group_alias {alias!r}", target) for alias, target in aliases.items()]
    named += list(_fallback_models(config))
    faults = [
        Fault(
            where,
            f"{where} of config.yaml names the model {target!r}, which model_list does not have: {_suggestion(target, known)}",
        )
        for where, target in dict.fromkeys(named)
        if target != "*" and not _is_known(target, known)
    ]
    if default_model and not _is_known(default_model, known):
        message = f"DEFAULT_MODEL is {default_model!r}, which model_list of config.yaml does not have: {_suggestion(default_model, known)}"
        faults.append(Fault("DEFAULT_MODEL", message))
    return faults


def _aliases(config: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for section in _SECTIONS_OF_MODELS:
        given = (config.get(section) or {}).get("model_group_alias") or {}
        for alias, target in given.items() if isinstance(given, Mapping) else ():
            found[str(alias)] = str(target.get("model") if isinstance(target, Mapping) else target)
    return found


def _fallback_models(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for section in _SECTIONS_OF_MODELS:
        settings = config.get(section) or {}
        for target in _as_list(settings.get("default_fallbacks")):
            yield "default_fallbacks", str(target)
        for name in _FALLBACKS:
            for entry in _as_list(settings.get(name)):
                for model, targets in entry.items() if isinstance(entry, Mapping) else ():
                    yield name, str(model)
                    yield from ((name, str(target)) for target in _as_list(targets) if not isinstance(target, Mapping))


def _is_known(name: str, known: Iterable[str]) -> bool:
    return any(name == one or ("*" in one and fnmatchcase(name, one)) for one in known)


def _as_list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else []


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f"did you mean {near[0]}?" if near else "add it to model_list, or take the name out."


def _import_error(name: str, folder: Path) -> str | None:
    """Return why a dotted name cannot be imported; None if it can, or if it is in a bucket."""
    if name.startswith(("s3://", "gcs://")):
        return None
    module, _, attribute = name.rpartition(".")
    if not module:
        return "write it as module.name."
    if module == "custom_handler":
        names = importlib.import_module(module).__all__  # getattr would build the object
        known = [one for one in names if one != "StackspotLLM"]
        near = difflib.get_close_matches(attribute, known, 1)
        cure = f"did you mean custom_handler.{near[0]}?" if near else f"it has {', '.join(known)}."
        return None if attribute in names else cure
    try:
        found = getattr(_module(module, folder), attribute, None)
    except Exception as error:  # noqa: BLE001  a module of the operator can raise anything
        return f"its module cannot be imported ({type(error).__name__}). Correct the name or the module."
    return None if found is not None else f"{module} has no {attribute}. Correct the name."


def _module(name: str, folder: Path) -> Any:
    file = folder.joinpath(*name.split(".")).with_suffix(".py")
    if not file.exists():
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
