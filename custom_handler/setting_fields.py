"""A setting: its field in a group, and its value from text; and a group of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any

from .errors import ConfigurationError

PREFIX = "STACKSPOT_"
_SECRET = ("CLIENT_SECRET", "CLIENT_SECRET_FILE")


def setting(
    name: str,
    default: Any,
    meaning: str,
    *,
    secret: bool = False,
    least: int = 0,
    most: int | None = None,
    or_zero: bool = False,
    choices: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field whose type is that of `default`.

    `name` is the environment variable, `meaning` the text in docs/configuration.md, `least` the
    minimum of an integer (0 or 1), `most` its maximum. Seconds may be 0 only with `or_zero`. `repr`
    leaves secrets out.
    """
    return field(
        default=default,
        repr=not secret,
        metadata={
            "name": name,
            "meaning": meaning,
            "least": least,
            "most": most,
            "or_zero": or_zero,
            "choices": choices,
        },
    )


def lookup(sources: Iterable[Mapping[str, str | None]], name: str) -> str:
    """Return a setting's text from the first source that has it (with the prefix first), or ""."""
    names = (name if name.startswith(PREFIX) else PREFIX + name, name)
    found = ((source.get(known) or "").strip() for source in sources for known in names)
    return next(filter(None, found), "")


def parse(item: Field[Any], raw: str) -> object:
    """Convert text to the type of the setting's default; raise ConfigurationError if invalid."""
    name, default, choices = item.metadata["name"], item.default, item.metadata["choices"]
    if choices and raw.lower() not in choices:
        raise ConfigurationError(f"{name} is {raw!r}: say {', '.join(choices[:-1])} or {choices[-1]}.")
    if choices:
        return raw.lower()
    if isinstance(default, bool):
        return _bool(name, raw)
    if isinstance(default, int):
        return _int(name, raw, item.metadata["least"], item.metadata["most"])
    if isinstance(default, float):
        return _seconds(name, raw, or_zero=item.metadata["or_zero"])
    return raw.rstrip("/") if name.endswith("_URL") else raw


def group_fields(group: type) -> list[Field[Any]]:
    """Return the fields of a group that are settings."""
    return [item for item in fields(group) if "name" in item.metadata]


def read_group(group: type, sources: Sequence[Mapping[str, str | None]]) -> Any:
    """Return a group with each setting from the first source that has it.

    Raises ConfigurationError.
    """
    # CLIENT_SECRET and its FILE are alternatives: both are read from the first source with either.
    secret = [next((source for source in sources if any(lookup([source], name) for name in _SECRET)), {})]
    values: dict[str, Any] = {
        item.name: parse(item, raw)
        for item in group_fields(group)
        if (raw := lookup(secret if (name := item.metadata["name"]) in _SECRET else sources, name))
    }
    if (file := values.get("client_secret_file")) and not values.get("client_secret"):
        values["client_secret"] = read_secret("CLIENT_SECRET_FILE", Path(file))
    return group(**values)


def read_secret(name: str, path: Path) -> str:
    """Return the content of the file that a setting names; raises ConfigurationError.

    The error does not quote the setting, whose value may be the secret itself by mistake.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The file that {name} names cannot be read ({type(error).__name__}): name a text file that holds the key."
        ) from None


def _bool(name: str, raw: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if raw.lower() not in known:
        raise ConfigurationError(f"{name} is {raw!r}: say true or false.")
    return known[raw.lower()]


def _int(name: str, raw: str, least: int, most: int | None) -> int:
    if most is not None and (not re.fullmatch(r"[0-9]{1,9}", raw) or not least <= int(raw) <= most):
        raise ConfigurationError(f"{name} is {raw!r}: give a whole number from {least} to {most}.")
    if not re.fullmatch(r"[0-9]{1,9}", raw) or int(raw) < least:
        raise ConfigurationError(f"{name} is {raw!r}: give a whole number{' above zero' if least else ''}.")
    return int(raw)


def _seconds(name: str, raw: str, *, or_zero: bool) -> float:
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not (0 < value < float("inf") or (or_zero and value == 0)):
        raise ConfigurationError(f"{name} is {raw!r}: give a number of seconds above zero{', or 0' * or_zero}.")
    return value
