"""The command line: `python -m custom_handler …`, also installed as `stackspot-litellm`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import click

from .. import __version__
from ..errors import ConfigurationError
from .ask import chat, models
from .check import check
from .evaluate import evaluate
from .report import report


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, message="stackspot-litellm %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """StackSpot AI agents as a model of the LiteLLM proxy."""
    if os.environ.get("NO_COLOR"):  # click checks only for a terminal
        context.color = False


for _command in (chat, check, evaluate, models, report):
    main.add_command(_command)


@main.command(short_help="Start the proxy.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 accepts connections from other machines.")
@click.option(
    "--port",
    default=4000,
    show_default=True,
    envvar="PORT",
    show_envvar=True,
    type=click.IntRange(1, 65535),
    help="Port.",
)
@click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path))
def run(host: str, port: int, config: Path) -> None:
    """Start the proxy; without StackSpot credentials, start a simulator of StackSpot too.

    Writes a master key to .env if there is none. Exit codes: 2 for a fault that prevents the start,
    130 for Ctrl-C before the proxy is ready.
    """
    try:
        from .run import run as launch  # noqa: PLC0415  each command loads what it needs

        raise SystemExit(launch(host, port, config))
    except ConfigurationError as error:
        click.echo(f"Error: {error.message}", err=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@main.command(short_help="Write config.yaml and .env to this folder.")
def init() -> None:
    """Write config.yaml, and .env with a new master key, to this folder; keep existing files."""
    from .run import init as write  # noqa: PLC0415

    try:
        for file, written in write(Path.cwd()):
            click.echo(f"{'Wrote' if written else 'Kept'} {file.name}")
    except OSError as error:
        raise click.ClickException(
            f"{Path.cwd()} cannot be written to ({error.strerror}): choose another folder."
        ) from None
    click.echo("Fill in your StackSpot account in .env, then start the proxy: stackspot-litellm run")


@main.command(short_help="Run jobs without the HTTP server.")
@click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--at-once", default=4, show_default=True, type=click.IntRange(min=1), help="Maximum number of concurrent jobs."
)
def worker(config: Path, at_once: int) -> None:
    """Run jobs without the HTTP server: with the proxy's REDIS_URL, or in the proxy's folder."""
    from ..jobs.standalone import run_worker  # noqa: PLC0415

    raise SystemExit(asyncio.run(run_worker(config, at_once)))


@main.command(short_help="Print all settings in Markdown.")
def settings() -> None:
    """Print each setting with its default and meaning, in Markdown."""
    from .settings_docs import settings_page  # noqa: PLC0415

    click.echo(settings_page(), nl=False)


@main.command(short_help="Run the simulator of StackSpot.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 selects a free port.")
def simulate(host: str, port: int) -> None:
    """Run the simulator: StackSpot's identity, inference and file hosts in one process."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_simulate(host, port))


async def _simulate(host: str, port: int) -> None:
    from ..simulator import Simulator  # noqa: PLC0415
    from .run import simulator_environment  # noqa: PLC0415

    async with Simulator(host, port) as simulator:
        click.echo("The simulator is running. To use it:")
        for name, value in simulator_environment(simulator.url).items():
            click.echo(f"export {name}={value}")
        await asyncio.Event().wait()
