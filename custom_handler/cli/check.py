"""`check`: a verdict, the models with their state, the faults with their cure; exit code 1 on a fault."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from dotenv import dotenv_values

from ..env_file import load
from .log_level import alone
from .table import table

if TYPE_CHECKING:
    from ..checks.diagnosis import Diagnosis
    from ..checks.models import Finding


@click.command(short_help="Check settings, models and providers.")
@click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path))
@click.option("--all", "show_all", is_flag=True, help="Show the settings that have their default, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--ask", is_flag=True, help="Ask each agent one short question: uses a request of the quota for each.")
def check(config: Path, *, show_all: bool, as_json: bool, ask: bool) -> None:
    """Check the settings, config.yaml and the providers, with secrets masked; exit code 1 on a fault."""
    found = _diagnosed(config, ask=ask)
    if as_json:
        click.echo(_as_json(found))
    else:
        _show(found, show_all=show_all, asked=ask)
    raise SystemExit(1 if found.faults else 0)


def _diagnosed(config: Path, *, ask: bool) -> Diagnosis:
    before = dict(os.environ)  # `.env` is a source of its own in the table, and part of the environment for the rest
    file = Path.cwd() / ".env"
    dotenv: Mapping[str, str | None] = {}
    unreadable = "it is a folder" if file.is_dir() else None
    try:
        dotenv = dotenv_values(file)
        load(file)
    except (OSError, ValueError) as error:
        unreadable = type(error).__name__
    alone()
    logging.getLogger("custom_handler").setLevel(logging.CRITICAL)  # what it would log is in the report
    from ..checks.diagnosis import diagnose  # noqa: PLC0415  LiteLLM takes seconds to import
    from ..checks.environment import Fault  # noqa: PLC0415

    found = diagnose(config, before, dotenv, ask=ask)
    if unreadable is None:
        return found
    fault = Fault(
        ".env", f".env cannot be read ({unreadable}): save it as plain text in UTF-8 that this user can read."
    )
    return replace(found, faults=[fault, *found.faults])


def _verdict(found: Diagnosis) -> str:
    enabled = [model for model in found.models if model.state != "disabled"]
    ready = sum(model.fault is None for model in enabled)
    disabled = len(found.models) - len(enabled)
    faults = f"{len(found.faults)} fault{'' if len(found.faults) == 1 else 's'}" if found.faults else "No faults found"
    return f"{faults}. {ready} of {len(enabled)} models ready{f', {disabled} disabled' if disabled else ''}."


def _as_json(found: Diagnosis) -> str:
    """Return what was found as JSON, with secrets masked; docs/operations.md lists the keys."""
    content = {
        "ok": not found.faults,
        "verdict": _verdict(found),
        "models": [
            {name: getattr(one, name) for name in ("model", "provider", "state", "variable", "fault")}
            for one in found.models
        ],
        "faults": list(map(str, found.faults)),
        "settings": [
            {name: getattr(row, name) for name in ("name", "source", "state", "fault")} for row in found.settings
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


def _show(found: Diagnosis, *, show_all: bool, asked: bool) -> None:
    click.echo(click.style(_verdict(found), fg="red" if found.faults else "green", bold=True))
    if found.models:
        click.echo(f"\n{_models(found.models)}")
    if found.faults:
        click.echo()
    for fault in found.faults:
        click.echo(click.style("fault: ", fg="red") + _wrapped(str(fault), len("fault: ")))
    rows = [row for row in found.settings if show_all or row.source not in {"default", "-"}]
    if rows:
        lines = table(("SETTING", "SOURCE", "VALUE"), [(row.name, row.source, row.state) for row in rows]).splitlines()
        click.echo("\n" + "\n".join(map(_cut, lines)))
    if not asked and any(one.state == "a token was given" for one in found.models):
        hint = "A token is no proof of the agent: --ask asks each, and uses a request of the quota for it."
        click.echo("\n" + click.style(_wrapped(hint), dim=True))


def _models(found: Sequence[Finding]) -> str:
    """Return the table of the models, with the colour of their state."""
    states = [f"{one.state}: set {one.variable}" if one.variable else one.state for one in found]
    colours = ["red" if one.fault else "yellow" if one.variable else "green" for one in found]
    rows = [(one.model, one.provider, state) for one, state in zip(found, states, strict=True)]
    head, *lines = table(("MODEL", "PROVIDER", "STATE"), rows).splitlines()
    coloured = [
        line.removesuffix(state) + click.style(state, fg=colour)
        for line, state, colour in zip(lines, states, colours, strict=True)
    ]
    return "\n".join([head, *coloured])


def _wrapped(text: str, indent: int = 0) -> str:
    """Break a text into lines that fit the terminal; where the output goes elsewhere, it stays one line."""
    if not (width := _width()):
        return text
    lines = textwrap.wrap(text, max(width - indent, 20), break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def _cut(line: str) -> str:
    width = _width()
    plain = click.unstyle(line)
    return line if not width or len(plain) <= width else f"{plain[: width - 1]}…"


def _width() -> int:
    """Return the columns of the terminal, 0 where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
