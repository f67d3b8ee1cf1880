"""`check`: every setting with its source, every model with its provider's sign of life; exit code 1 on a fault."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from dotenv import dotenv_values, load_dotenv

from .quiet import alone
from .table import table

if TYPE_CHECKING:
    from ..service.checks import Finding
    from ..service.inventory import Row


@click.command()
@click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path))
def check(config: Path) -> None:
    """Check the settings, config.yaml and the providers, with secrets masked; exit code 1 on a fault."""
    rows, findings = _checked(config)
    click.echo(table(("SETTING", "SOURCE", "STATE"), [(row.name, row.source, row.state) for row in rows]))
    click.echo()
    click.echo(table(("MODEL", "PROVIDER", "STATE"), [(item.model, item.provider, item.state) for item in findings]))
    told = [row.fault for row in rows] + [finding.fault for finding in findings]
    faults = list(dict.fromkeys(filter(None, told)))
    click.echo()
    for fault in faults:
        click.echo(click.style("fault: ", fg="red") + fault)
    click.echo(click.style(f"{len(faults)} faults" if faults else "All is well.", fg="red" if faults else "green"))
    raise SystemExit(1 if faults else 0)


def _checked(path: Path) -> tuple[list[Row], list[Finding]]:
    before = dict(os.environ)  # `.env` is a source of its own in the table, and part of the environment for the rest
    load_dotenv(Path.cwd() / ".env")
    alone()
    from ..errors import ConfigurationError  # noqa: PLC0415  LiteLLM takes seconds to import
    from ..handler import StackspotLLM  # noqa: PLC0415
    from ..service.checks import Finding, check_models  # noqa: PLC0415
    from ..service.config import read_config  # noqa: PLC0415
    from ..service.inventory import inventory  # noqa: PLC0415

    try:
        config, unreadable = read_config(path), None
    except ConfigurationError as error:
        config, unreadable = {}, Finding(str(path), "", "unreadable", error.message)
    rows = inventory(before, dotenv_values(Path.cwd() / ".env"), config)
    if unreadable or any(row.fault and row.source not in {"-", "default"} for row in rows):
        return rows, [unreadable] if unreadable else []
    provider = StackspotLLM()
    return rows, asyncio.run(check_models(config, provider.settings, provider.authenticate))
