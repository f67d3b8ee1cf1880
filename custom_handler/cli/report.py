"""`report`: summarise a run as a table and as a page with plots."""

from __future__ import annotations

from pathlib import Path

import click

from .table import table


@click.command(short_help="Summarise a run as a table and a page.")
@click.argument("run", required=False)
@click.option(
    "--output", type=click.Path(path_type=Path), help="File to write.  [default: report.html in the folder of the run]"
)
def report(run: str | None, output: Path | None) -> None:
    """Print a summary of RUN (default: the newest run), and write a page with plots."""
    from ..errors import ConfigurationError  # noqa: PLC0415  each command loads what it needs
    from ..report import page, read_run, report_data, summarize, write_page  # noqa: PLC0415
    from ..settings import Settings  # noqa: PLC0415

    try:
        recorded = read_run(Path(Settings.load().telemetry.runs_dir), run)
    except ConfigurationError as error:
        raise click.ClickException(error.message) from None
    summary = summarize(recorded)
    click.echo(
        f"Run {recorded.name}: {summary.calls} calls, {summary.failures} failed, from {summary.first} to {summary.last}"
    )
    click.echo()
    head = ("MODEL", "CALLS", "FAILED", "P50 MS", "P95 MS", "P99 MS", "FIRST TOKEN P50", "TOKENS IN", "TOKENS OUT")
    click.echo(table(head, [row.cells() for row in summary.models]))
    if summary.errors:
        click.echo()
        click.echo(table(("ERROR", "STATUS", "CALLS"), [tuple(map(str, error)) for error in summary.errors]))
    target = output or recorded.folder / "report.html"
    try:
        write_page(target, page(report_data(recorded)))
    except ConfigurationError as error:
        raise click.ClickException(error.message) from None
    except OSError as error:
        raise click.ClickException(f"The page cannot be written to {target}: {error.strerror}.") from None
    click.echo(f"\nPage with plots: {target}")
