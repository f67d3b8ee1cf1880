"""List each setting with its source and its value, secrets masked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..data_class import data_class
from ..errors import ConfigurationError
from ..proxy.config import variables
from ..setting_fields import lookup
from ..settings import Settings, all_fields
from .environment import masked, value_fault

REQUIRED = ("LITELLM_MASTER_KEY",)  # the variables of models are checked with the model

_NOT_SECRET = re.compile(r"(_REGION|_MODEL_ID)$")


@data_class
class SettingRow:
    """One setting; `state` is its value, or `set` for a secret; `fault` is for the user."""

    name: str
    source: str
    state: str
    fault: str | None = None


def list_settings(
    environ: Mapping[str, str], dotenv: Mapping[str, str | None], config: Mapping[str, Any]
) -> list[SettingRow]:
    """Return a row for each setting, then for each variable of config.yaml. Raises nothing."""
    sources = {"environment": environ, ".env": dotenv}
    rows = list(_settings(sources))
    known = {row.name for row in rows}
    return rows + [_variable(name, sources) for name in dict.fromkeys(variables(config)) if name not in known]


def _settings(sources: Mapping[str, Mapping[str, str | None]]) -> Iterator[SettingRow]:
    for item in all_fields():
        name = str(item.metadata["name"])
        source, raw = _found(sources, name)
        if not raw:
            yield SettingRow(name, "default" if item.default != "" else "-", _format(item.default))
            continue
        yield SettingRow(name, source, _format(raw) if item.repr else "set", _fault(name, raw))


def _fault(name: str, raw: str) -> str | None:
    try:
        Settings.from_mapping({name: raw})
    except ConfigurationError as error:
        return error.message
    return value_fault(name, raw)


def _variable(name: str, sources: Mapping[str, Mapping[str, str | None]]) -> SettingRow:
    found = ((source, (values.get(name) or "").strip()) for source, values in sources.items())
    source, raw = next(((source, raw) for source, raw in found if raw), ("-", ""))
    if not raw:
        return SettingRow(name, source, "not set", f"{name} is not set: set it in .env." if name in REQUIRED else None)
    return SettingRow(name, source, raw if _NOT_SECRET.search(name) else "set", value_fault(name, raw))


def _found(sources: Mapping[str, Mapping[str, str | None]], name: str) -> tuple[str, str]:
    found = ((source, lookup([values], name)) for source, values in sources.items())
    return next(((source, raw) for source, raw in found if raw), ("-", ""))


def _format(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Path | str):
        return masked(str(value)) or "not set"
    return str(value)
