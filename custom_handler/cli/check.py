"""`check`: print a verdict, the models, the faults and the settings; exit with 1 on a fault."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from dotenv import dotenv_values

from ..env_file import load
from .log_level import quiet_litellm
from .table import table

if TYPE_CHECKING:
    from ..checks.accounts import AccountRow
    from ..checks.agents import AccountAgents
    from ..checks.diagnosis import Diagnosis
    from ..checks.models import Finding


@click.command(short_help="Check settings, models and providers.")
@click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path))
@click.option("--all", "show_all", is_flag=True, help="Show settings with their default value, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--ask", is_flag=True, help="Ask each agent a short question: uses one request of the quota each.")
@click.option("--agents", "list_agents", is_flag=True, help="List the accounts' agents, and the models that they are.")
def check(config: Path, *, show_all: bool, as_json: bool, ask: bool, list_agents: bool) -> None:
    """Check settings, config.yaml and providers, with secrets masked; exit code 1 on a fault."""
    found = _diagnose(config, ask=ask)
    agents = _account_agents(config) if list_agents else None
    if as_json:
        click.echo(_as_json(found, agents))
    else:
        _show(found, show_all=show_all, asked=ask)
        if agents is not None:
            _show_agents(agents)
    raise SystemExit(1 if found.faults else 0)


def _diagnose(config: Path, *, ask: bool) -> Diagnosis:
    before = dict(os.environ)  # the table shows `.env` as a source of its own
    file = Path.cwd() / ".env"
    dotenv: Mapping[str, str | None] = {}
    unreadable = "it is a folder" if file.is_dir() else None
    try:
        dotenv = dotenv_values(file)
        load(file)
    except (OSError, ValueError) as error:
        unreadable = type(error).__name__
    quiet_litellm()
    logging.getLogger("custom_handler").setLevel(logging.CRITICAL)  # the report has it
    from ..checks.diagnosis import diagnose  # noqa: PLC0415  LiteLLM takes seconds to import
    from ..checks.environment import Fault  # noqa: PLC0415

    found = diagnose(config, before, dotenv, ask=ask)
    if unreadable is None:
        return found
    fault = Fault(
        ".env", f".env cannot be read ({unreadable}): save it as plain text in UTF-8 that this user can read."
    )
    return replace(found, faults=[fault, *found.faults])


def _account_agents(config: Path) -> AccountAgents:
    from ..checks.agents import AccountAgents, list_account  # noqa: PLC0415
    from ..errors import ConfigurationError  # noqa: PLC0415
    from ..proxy.config import read_config  # noqa: PLC0415
    from ..settings import Settings  # noqa: PLC0415

    try:
        return list_account(read_config(config), Settings.load())
    except ConfigurationError as error:  # which is among the faults, too
        return AccountAgents((), (error.message,))


def _show_agents(agents: AccountAgents) -> None:
    several = len({row.account for row in agents.rows}) > 1
    rows = [
        (row.name, row.id, row.visibility, *([row.account] if several else []), ", ".join(row.models) or "-")
        for row in agents.rows
    ]
    head = ("AGENT", "ID", "VISIBILITY", *(["ACCOUNT"] if several else []), "MODEL")
    click.echo("\n" + table(head, rows))
    for problem in agents.problems:
        click.echo(click.style("not listed: ", fg="yellow") + _wrapped(problem, len("not listed: ")))


def _verdict(found: Diagnosis) -> str:
    enabled = [model for model in found.models if model.state != "disabled"]
    ready = sum(model.fault is None for model in enabled)
    disabled = len(found.models) - len(enabled)
    faults = f"{len(found.faults)} fault{'' if len(found.faults) == 1 else 's'}" if found.faults else "No faults found"
    return f"{faults}. {ready} of {len(enabled)} models ready{f', {disabled} disabled' if disabled else ''}."


def _as_json(found: Diagnosis, agents: AccountAgents | None) -> str:
    """Return the findings as JSON, secrets masked; docs/operations.md lists the keys."""
    content: dict[str, object] = {
        "ok": not found.faults,
        "verdict": _verdict(found),
        "models": [
            {name: getattr(one, name) for name in ("model", "provider", "kind", "state", "variable", "fault")}
            for one in found.models
        ],
        "accounts": [asdict(account) for account in found.accounts],
        "faults": list(map(str, found.faults)),
        "settings": [
            {name: getattr(row, name) for name in ("name", "source", "state", "fault")} for row in found.settings
        ],
    }
    if agents is not None:
        content["agents"] = [asdict(row) for row in agents.rows]
        content["agent_problems"] = list(agents.problems)
    return json.dumps(content, ensure_ascii=False, indent=2)


def _show(found: Diagnosis, *, show_all: bool, asked: bool) -> None:
    click.echo(click.style(_verdict(found), fg="red" if found.faults else "green", bold=True))
    if found.models:
        click.echo(f"\n{_models(found.models)}")
    if found.accounts:
        click.echo(f"\n{_accounts(found.accounts)}")
    if found.faults:
        click.echo()
    for fault in found.faults:
        click.echo(click.style("fault: ", fg="red") + _wrapped(str(fault), len("fault: ")))
    rows = [row for row in found.settings if show_all or row.source not in {"default", "-"}]
    if rows:
        lines = table(("SETTING", "SOURCE", "VALUE"), [(row.name, row.source, row.state) for row in rows]).splitlines()
        click.echo("\n" + "\n".join(map(_cut, lines)))
    if not asked and any(one.state == "a token was given" and not one.kind for one in found.models):
        hint = "A token does not prove that an agent works: --ask asks each agent (one request of the quota each)."
        click.echo("\n" + click.style(_wrapped(hint), dim=True))


def _models(found: Sequence[Finding]) -> str:
    """Return the table of the models; the colour shows the state."""
    states = [f"{one.state}: set {one.variable}" if one.variable else one.state for one in found]
    colours = ["red" if one.fault else "yellow" if one.variable else "green" for one in found]
    providers = [f"{one.provider} ({one.kind})" if one.kind else one.provider for one in found]
    rows = list(zip([one.model for one in found], providers, states, strict=True))
    return _coloured(("MODEL", "PROVIDER", "STATE"), rows, colours)


def _accounts(found: Sequence[AccountRow]) -> str:
    """Return the table of the accounts; the colour shows the state."""
    rows = [(one.name, one.realm, str(one.requests_per_minute or "no limit"), one.state) for one in found]
    return _coloured(
        ("ACCOUNT", "REALM", "A MINUTE", "STATE"), rows, ["red" if one.fault else "green" for one in found]
    )


def _coloured(head: Sequence[str], rows: Sequence[Sequence[str]], colours: Sequence[str]) -> str:
    """Return a table whose last column has a colour in each row."""
    first, *lines = table(head, rows).splitlines()
    coloured = [
        line.removesuffix(row[-1]) + click.style(row[-1], fg=colour)
        for line, row, colour in zip(lines, rows, colours, strict=True)
    ]
    return "\n".join([first, *coloured])


def _wrapped(text: str, indent: int = 0) -> str:
    """Wrap a text to the width of the terminal; otherwise it stays one line."""
    if not (width := _width()):
        return text
    lines = textwrap.wrap(text, max(width - indent, 20), break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def _cut(line: str) -> str:
    width = _width()
    plain = click.unstyle(line)
    return line if not width or len(plain) <= width else f"{plain[: width - 1]}…"


def _width() -> int:
    """Return the columns of the terminal, 0 if the output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
