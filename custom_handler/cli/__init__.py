"""The command line: `python -m custom_handler …`, also installed as `stackspot-litellm`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import click

from .ask import chat, models
from .check import check
from .report import report


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """StackSpot AI agents as a model of the LiteLLM proxy."""
    if os.environ.get("NO_COLOR"):  # click itself looks only whether this is a terminal
        context.color = False


for _command in (chat, check, models, report):
    main.add_command(_command)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 lets other machines in.")
@click.option("--port", default=4000, show_default=True, help="Port of the proxy.")
@click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path, exists=True))
def run(host: str, port: int, config: Path) -> None:
    """Start the proxy; without Stackspot credentials, with a simulator in its place."""
    from ..launcher import run as launch  # noqa: PLC0415  each command loads what it needs

    raise SystemExit(launch(host, port, config))


@main.command()
@click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path, exists=True))
@click.option("--at-once", default=4, show_default=True, type=click.IntRange(min=1), help="Jobs at once.")
def worker(config: Path, at_once: int) -> None:
    """Work on jobs without serving: on any machine where REDIS_URL is that of the proxy, else beside the proxy."""
    from ..service.jobs.alone import work  # noqa: PLC0415

    raise SystemExit(asyncio.run(work(config, at_once)))


@main.command()
def settings() -> None:
    """Print every setting, its default and what it means, in Markdown."""
    from ..reference import page  # noqa: PLC0415

    click.echo(page(), nl=False)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 takes a free one.")
def simulate(host: str, port: int) -> None:
    """Run the simulator: Stackspot's identity and inference hosts in one process."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_simulate(host, port))


async def _simulate(host: str, port: int) -> None:
    from ..launcher import simulated  # noqa: PLC0415
    from ..simulator import serve  # noqa: PLC0415

    simulator = await serve(host, port)
    try:
        click.echo("The simulator listens. To use it:")
        for name, value in simulated(simulator.url).items():
            click.echo(f"export {name}={value}")
        await asyncio.Event().wait()
    finally:
        await simulator.stop()
