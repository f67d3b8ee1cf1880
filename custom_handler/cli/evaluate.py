"""`evaluate`: measure which models follow the protocol, as a table and as a page with plots."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..env_file import load
from ..instrumentation import Measurement, PromptSent, Repaired, Retried
from ..provider import PROVIDER
from .table import table

if TYPE_CHECKING:
    from ..emulation.prompt.wording import Wording
    from ..evaluate.contender import Contender
    from ..evaluate.results import Result, ResultFile, Summary
    from ..evaluate.runner import Ask
    from ..evaluate.task import Task
    from .library_backend import LibraryBackend

CONTENT_POLICY = "ContentPolicyViolationError"
SIMULATED = "A simulated agent answers: the figures show the gateway, not an agent."

_measured: ContextVar[list[Measurement] | None] = ContextVar("measured", default=None)


@click.command(short_help="Measure how well models follow the protocol.")
@click.option("--model", "models", multiple=True, help="Name of a model, as `models` lists it; several are compared.")
@click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path))
@click.option("--cases", type=click.Path(path_type=Path), help="Tasks in place of the built-in ones, as JSON lines.")
@click.option("--kind", "kinds", multiple=True, help="Only tasks of this kind; several are possible.")
@click.option(
    "--prompt-variant",
    "variants",
    multiple=True,
    metavar="FILE",
    help="A YAML file with other texts of the prompt, or `default`; several are compared.",
)
@click.option(
    "--compact-tools", is_flag=True, help="Ask each model without and with `compact_tools`, and compare the two."
)
@click.option("--write-variant", type=click.Path(path_type=Path), help="Write the default texts to a file, and exit.")
@click.option("--at-once", default=4, show_default=True, type=click.IntRange(1, 64), help="Concurrent tasks.")
@click.option(
    "--output", default="evaluation", show_default=True, type=click.Path(path_type=Path), help="Folder of the results."
)
@click.option("--fresh", is_flag=True, help="Run all tasks again: do not use the results in the folder.")
@click.option(
    "--simulate",
    type=click.FloatRange(0, 1),
    metavar="RATE",
    help="Ask a simulated agent that knows the answers and spoils this share of its replies.",
)
def evaluate(  # noqa: PLR0917  click passes the options by name
    models: Sequence[str],
    config: Path,
    cases: Path | None,
    kinds: Sequence[str],
    variants: Sequence[str],
    write_variant: Path | None,
    at_once: int,
    output: Path,
    *,
    compact_tools: bool,
    fresh: bool,
    simulate: float | None,
) -> None:
    """Run tasks against models; print which they solve, and write results.jsonl and a page.

    An interrupted evaluation goes on where it stopped: tasks with a result are not asked again. The
    account's limit holds (STACKSPOT_REQUESTS_PER_MINUTE).
    """
    from ..errors import ConfigurationError  # noqa: PLC0415  each command loads what it needs
    from ..evaluate import ResultFile, contenders, page, summarize, with_compact_models  # noqa: PLC0415
    from ..evaluate.compact import SUFFIX  # noqa: PLC0415
    from ..evaluate.results import PAGE  # noqa: PLC0415
    from ..proxy.config import read_config  # noqa: PLC0415
    from ..report import write_page  # noqa: PLC0415

    if write_variant is not None:
        _write_variant(write_variant)
        return
    load(Path.cwd() / ".env")
    try:
        tasks = _tasks(cases, kinds)
        output.mkdir(parents=True, exist_ok=True)
        file = ResultFile(output / "results.jsonl")
        file.require_own_folder()
        earlier = [] if fresh else file.read()
        with _simulator(simulate, tasks):
            content, asked = read_config(config), _models(models, config)
            if compact_tools:
                content = with_compact_models(content, asked)
                asked = [name for model in asked for name in (model, f"{model}{SUFFIX}")]
            wanted = dict.fromkeys(contenders(_answering(asked, content, simulate), variants), tasks)
            results = asyncio.run(_run(wanted, content, file, earlier, at_once=at_once))
    except ConfigurationError as error:
        raise click.ClickException(error.message) from None
    except OSError as error:
        raise click.ClickException(
            f"{output} cannot be written to ({error.strerror}): choose another --output."
        ) from None
    summaries = summarize(results)
    _print(results, summaries)
    try:
        write_page(output / PAGE, page(results, summaries, "" if simulate is None else SIMULATED))
    except ConfigurationError as error:
        raise click.ClickException(error.message) from None
    click.echo(f"\nPage with plots: {output / PAGE}")
    failed = sum(result.verdict == "failed" for result in results)
    if failed:
        click.echo(f"{failed} tasks had no answer: run the command again to ask only these.", err=True)
        raise SystemExit(1)


def _print(results: Sequence[Result], summaries: Sequence[Summary]) -> None:
    from ..evaluate.compact import HEAD as COMPACT_HEAD  # noqa: PLC0415
    from ..evaluate.compact import comparisons  # noqa: PLC0415
    from ..evaluate.page import HEAD, cells  # noqa: PLC0415

    click.echo(table(tuple(name.upper() for name in HEAD), [cells(summary) for summary in summaries]))
    if found := comparisons(results):
        click.echo("\n" + table(tuple(name.upper() for name in COMPACT_HEAD), [one.cells() for one in found]))
        for one in found:
            for task, model, how in one.differences():
                click.echo(f"{how} by {model} with compact tools: {task}")


def _write_variant(file: Path) -> None:
    from ..evaluate.contender import as_yaml  # noqa: PLC0415

    if file.exists():
        raise click.ClickException(f"{file} exists: name a new file, or remove it.")
    try:
        file.write_text(as_yaml(), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written ({error.strerror}): name another file.") from None
    click.echo(
        f"Wrote {file}: change or remove texts, then compare with --prompt-variant default --prompt-variant {file}"
    )


def _tasks(cases: Path | None, kinds: Sequence[str]) -> Sequence[Task]:
    from ..errors import ConfigurationError  # noqa: PLC0415
    from ..evaluate import built_in_tasks, read_tasks  # noqa: PLC0415

    tasks = read_tasks(cases) if cases else built_in_tasks()
    known = dict.fromkeys(task.kind for task in tasks)
    if unknown := [kind for kind in kinds if kind not in known]:
        raise ConfigurationError(f"There are no tasks of the kind {unknown[0]!r}; the kinds are: {', '.join(known)}.")
    return [task for task in tasks if not kinds or task.kind in kinds]


def _models(given: Sequence[str], config: Path) -> Sequence[str]:
    """Return the models to ask: the given ones, or the configuration's first StackSpot model."""
    from ..errors import ConfigurationError  # noqa: PLC0415
    from ..proxy.config import deployments, read_config  # noqa: PLC0415

    found = deployments(read_config(config))
    names = list(dict.fromkeys(model.name for model in found))
    if unknown := [name for name in given if name not in names]:
        raise ConfigurationError(f"{config} has no model {unknown[0]!r}; it has: {', '.join(names)}.")
    first = next((model.name for model in found if model.provider == PROVIDER), None)
    if not given and first is None:
        raise ConfigurationError(f"{config} has no StackSpot model: name a model with --model.")
    return list(dict.fromkeys(given)) or [str(first)]


def _answering(models: Sequence[str], config: Mapping[str, Any], rate: float | None) -> Mapping[str, str]:
    """Return what answers behind each model, with the options that change its prompts or answers.

    The result of another agent, or with other options, is none of this one's.
    """
    from ..errors import ConfigurationError  # noqa: PLC0415
    from ..provider.choice_options import CHOICE_OPTIONS  # noqa: PLC0415
    from ..provider.litellm_call import SWITCHES, agent_id  # noqa: PLC0415
    from ..provider.quick_command_options import PREFIX as QUICK_COMMAND  # noqa: PLC0415
    from ..proxy.config import Deployment, deployments  # noqa: PLC0415
    from ..settings import Settings  # noqa: PLC0415

    settings = Settings.load()

    def answering(model: Deployment) -> str:
        if model.provider != PROVIDER:
            return f"{model.provider}/{model.model}"
        names = ("account", "conversation", "quick_command", *CHOICE_OPTIONS, *SWITCHES)
        options = "".join(f" {name}={model.info[name]}" for name in names if model.info.get(name))
        if rate is not None:
            return f"simulated {rate}{options}"
        if model.model.startswith(QUICK_COMMAND):
            return f"{model.model}{options}"
        try:
            return f"{agent_id(model.model, {'model_info': model.info}, settings)}{options}"
        except ConfigurationError:
            return ""  # its tasks fail, and say why

    found = deployments(config)
    return {name: " ".join(sorted(answering(model) for model in found if model.name == name)) for name in models}


@contextlib.contextmanager
def _simulator(rate: float | None, tasks: Sequence[Task]) -> Iterator[None]:
    """Run a simulated agent that spoils its replies at this rate; without a rate, run nothing."""
    if rate is None:
        yield
        return
    from ..evaluate.rehearsal import replies  # noqa: PLC0415
    from ..simulator import SimulatorSettings, SimulatorThread  # noqa: PLC0415
    from .run import simulator_environment  # noqa: PLC0415

    settings = SimulatorSettings(slip_rate=float(rate), first_token_delay=0, cadence=0, burst=50)
    with SimulatorThread(settings, replies=replies(tasks)) as simulator:
        os.environ.update(simulator_environment(simulator.url) | {"STACKSPOT_REQUESTS_PER_MINUTE": "0"})
        click.echo(SIMULATED, err=True)
        yield


async def _run(
    wanted: Mapping[Contender, Sequence[Task]],
    config: Mapping[str, Any],
    file: ResultFile,
    earlier: Sequence[Result],
    *,
    at_once: int,
) -> list[Result]:
    """Run what has no result so far, with a progress bar, and return the results of all tasks."""
    from ..evaluate.contender import still_open  # noqa: PLC0415
    from ..evaluate.results import FAILED  # noqa: PLC0415
    from ..evaluate.runner import run  # noqa: PLC0415
    from .log_level import quiet_litellm  # noqa: PLC0415

    done = {result.key: result for result in earlier if result.verdict != FAILED}
    results = [done[key] for one, tasks in wanted.items() for task in tasks if (key := one.key(task)) in done]
    if results:
        click.echo(f"{len(results)} results of an earlier run are kept; --fresh runs all again.", err=True)
    open_tasks = {one: still_open(one, tasks, done) for one, tasks in wanted.items()}
    quiet_litellm()
    from .library_backend import LibraryBackend  # noqa: PLC0415  LiteLLM takes seconds to import

    backend = LibraryBackend(config)
    backend.measure(_note)
    total = sum(map(len, open_tasks.values()))
    with click.progressbar(length=total, label="Tasks", file=sys.stderr, width=30) as bar:

        def finished(result: Result) -> None:
            file.append(result)
            results.append(result)
            bar.update(1)

        try:
            for one, tasks in open_tasks.items():
                await run(tasks, _asker(backend, one.wording), one, at_once=at_once, progress=finished)
        finally:
            file.close()
            await backend.aclose()
    return results


def _note(measurement: Measurement) -> None:
    if (measured := _measured.get()) is not None and isinstance(measurement, PromptSent | Repaired | Retried):
        measured.append(measurement)


def _asker(backend: LibraryBackend, wording: Wording) -> Ask:
    """Return the function that sends a request to a model, and counts the hidden requests."""
    from ..emulation.prompt.wording import use  # noqa: PLC0415
    from ..evaluate.runner import Reply  # noqa: PLC0415
    from ..proxy.chunk_accumulator import ChunkAccumulator  # noqa: PLC0415
    from ..proxy.client import ProxyResponseError  # noqa: PLC0415

    async def ask(body: Mapping[str, Any]) -> Reply:
        measured: list[Measurement] = []
        _measured.set(measured)
        use(wording)
        answer, error, refused = ChunkAccumulator(), "", False
        try:
            async with backend.stream(body, {}) as stream:
                async for chunk in stream.chunks:
                    answer.feed(chunk)
        except ProxyResponseError as response:
            error, refused = str(response), response.error.get("type") == CONTENT_POLICY
        usage = answer.usage or {}
        prompts = [one.characters for one in measured if isinstance(one, PromptSent)]
        return Reply(
            text=answer.text,
            tool_calls=answer.tool_calls,
            finish_reason=answer.finish_reason,
            requests=1 + len(measured) - len(prompts),
            repairs=sum(isinstance(one, Repaired) for one in measured),
            tokens_in=usage.get("prompt_tokens") or 0,
            tokens_out=usage.get("completion_tokens") or 0,
            prompt_characters=prompts[0] if prompts else 0,
            error=error,
            refused=refused,
        )

    return ask
