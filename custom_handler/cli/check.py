"""`check`: a verdict, the models with their state, the faults with their cure; exit code 1 on a fault."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from dotenv import dotenv_values, load_dotenv

from .quiet import alone
from .table import table

if TYPE_CHECKING:
    from ..service.checks import Finding
    from ..service.inventory import Row
    from ..settings import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What a check found."""

    models: list[Finding]
    settings: list[Row]
    faults: list[str]

    @property
    def verdict(self) -> str:
        """Say in one line how things are."""
        enabled = [model for model in self.models if model.state != "disabled"]
        ready = sum(model.fault is None for model in enabled)
        disabled = len(self.models) - len(enabled)
        faults = f"{len(self.faults)} fault{'' if len(self.faults) == 1 else 's'}" if self.faults else "No faults found"
        return f"{faults}. {ready} of {len(enabled)} models ready{f', {disabled} disabled' if disabled else ''}."

    def as_json(self) -> str:
        """Return the report as JSON; secrets are masked."""
        models = [
            {
                "model": one.model,
                "provider": one.provider,
                "state": one.state,
                "variable": one.variable,
                "fault": one.fault,
            }
            for one in self.models
        ]
        rows = [
            {"name": row.name, "source": row.source, "state": row.state, "fault": row.fault} for row in self.settings
        ]
        content = {
            "ok": not self.faults,
            "verdict": self.verdict,
            "models": models,
            "faults": self.faults,
            "settings": rows,
        }
        return json.dumps(content, ensure_ascii=False, indent=2)


@click.command(short_help="Check settings, models and providers.")
@click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path))
@click.option("--all", "show_all", is_flag=True, help="Show the settings that have their default, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--ask", is_flag=True, help="Ask each agent one short question: uses a request of the quota for each.")
def check(config: Path, *, show_all: bool, as_json: bool, ask: bool) -> None:
    """Check the settings, config.yaml and the providers, with secrets masked; exit code 1 on a fault."""
    report = _checked(config, ask=ask)
    if as_json:
        click.echo(report.as_json())
    else:
        _show(report, show_all=show_all)
    raise SystemExit(1 if report.faults else 0)


def _show(report: Report, *, show_all: bool) -> None:
    click.echo(click.style(report.verdict, fg="red" if report.faults else "green", bold=True))
    if report.models:
        click.echo()
        rows = [
            (one.model, one.provider, f"{one.state}: {one.variable} is not set" if one.variable else one.state)
            for one in report.models
        ]
        click.echo(table(("MODEL", "PROVIDER", "STATE"), rows))
    if report.faults:
        click.echo()
    for fault in report.faults:
        click.echo(click.style("fault: ", fg="red") + fault)
    shown = [row for row in report.settings if show_all or row.source not in {"default", "-"}]
    if shown:
        click.echo()
        click.echo(table(("SETTING", "SOURCE", "VALUE"), [(row.name, row.source, row.state) for row in shown]))


def _checked(path: Path, *, ask: bool) -> Report:
    before = dict(os.environ)  # `.env` is a source of its own in the table, and part of the environment for the rest
    dotenv = dotenv_values(Path.cwd() / ".env")
    load_dotenv(Path.cwd() / ".env")
    alone()
    logging.getLogger("custom_handler").setLevel(logging.CRITICAL)  # what it would log is in the report
    from ..errors import ConfigurationError  # noqa: PLC0415  LiteLLM takes seconds to import
    from ..service.checks import Finding, check_configuration  # noqa: PLC0415
    from ..service.config import read_config  # noqa: PLC0415
    from ..service.inventory import inventory  # noqa: PLC0415
    from ..settings import Settings  # noqa: PLC0415

    try:
        config, unreadable = read_config(path), None
    except ConfigurationError as error:
        config, unreadable = {}, Finding(str(path), "", "unreadable", error.message)
    rows = inventory(before, dotenv, config)
    faults = [row.fault for row in rows if row.fault]
    try:
        settings = Settings.load()
    except ConfigurationError as error:
        faults.append(error.message)
        models = [unreadable] if unreadable else check_configuration(config, Settings())
        models = [dataclasses.replace(one, fault=None) if one.provider == "stackspot" else one for one in models]
        return Report(models, rows, _once(faults, models))
    models, more = asyncio.run(_check_all(config, settings, {**dotenv, **before}, ask=ask))
    if unreadable:
        models = [unreadable]
    return Report(models, rows, _once([*faults, *more], models))


def _once(faults: list[str], models: list[Finding]) -> list[str]:
    return list(dict.fromkeys([*(model.fault for model in models if model.fault), *faults]))


async def _check_all(
    config: Mapping[str, Any], settings: Settings, environ: Mapping[str, str | None], *, ask: bool
) -> tuple[list[Finding], list[str]]:
    from ..errors import ConfigurationError  # noqa: PLC0415
    from ..handler import StackspotLLM  # noqa: PLC0415  LiteLLM takes seconds to import
    from ..service.checks import check_configuration, check_models  # noqa: PLC0415
    from ..service.settings_checks import check_settings  # noqa: PLC0415

    try:
        provider = StackspotLLM(settings)
    except (ConfigurationError, ValueError) as error:  # one of the settings that are checked below
        faults = await check_settings(config, settings, environ)
        return check_configuration(config, settings), faults or [str(error)]
    models, faults = await asyncio.gather(
        check_models(config, settings, provider.authenticate), check_settings(config, settings, environ)
    )
    if ask and not faults:
        models = await asyncio.gather(*(_asked(provider, finding, config, settings) for finding in models))
    return models, faults


async def _asked(provider: Any, finding: Finding, config: Mapping[str, Any], settings: Settings) -> Finding:
    """Ask the agent of a model one short question."""
    from ..service.config import deployments  # noqa: PLC0415
    from ..service.settings_checks import agent_of  # noqa: PLC0415

    if finding.provider != "stackspot" or finding.fault:
        return finding
    deployment = next(one for one in deployments(config) if one.name == finding.model)
    try:
        await provider.acompletion(agent_of(deployment, settings), [{"role": "user", "content": "ping"}])
    except Exception as error:  # noqa: BLE001  whatever it is, it is what a caller would get
        message = str(getattr(error, "message", error)).partition("\n")[0]
        return dataclasses.replace(finding, state="fault", fault=f"{finding.model}: {message}")
    return dataclasses.replace(finding, state="the agent answered")
