"""`models` and `chat`: use config.yaml's models in this process, or a proxy with `--url`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..data_class import data_class
from ..env_file import load
from .log_level import quiet_litellm
from .table import table

if TYPE_CHECKING:
    from ..proxy.chunk_accumulator import ChunkAccumulator
    from ..proxy.config import Deployment
    from .library_backend import LibraryBackend
    from .proxy_backend import ProxyBackend

Emit = Callable[[Mapping[str, Any] | str], None]


@data_class
class Source:
    """Where the models are: in the configuration file, or behind the proxy at `url`."""

    config: Path
    url: str | None
    key: str | None = field(repr=False)

    def models(self) -> Sequence[Deployment]:
        """Return the enabled models."""
        from ..proxy.availability import disabled_models  # noqa: PLC0415  each command loads what it needs
        from ..proxy.config import deployments, read_config  # noqa: PLC0415

        if self.url:
            return self._remote(self.url).models
        content = read_config(self.config)
        found = deployments(content)
        disabled = disabled_models(content.get("model_list") or ())
        return [model for model in found if model.name not in disabled]

    def open(self) -> LibraryBackend | ProxyBackend:
        """Return the backend that asks the models."""
        if self.url:
            return self._remote(self.url)
        quiet_litellm()
        from ..proxy.config import read_config  # noqa: PLC0415
        from .library_backend import LibraryBackend  # noqa: PLC0415  LiteLLM takes seconds to import

        return LibraryBackend(read_config(self.config))

    def _remote(self, url: str) -> ProxyBackend:
        from .proxy_backend import ProxyBackend  # noqa: PLC0415

        if not self.key:
            raise click.UsageError("--url needs --key, or LITELLM_MASTER_KEY in the environment or in .env.")
        return ProxyBackend(url, self.key)


@contextlib.contextmanager
def _with_models(source: Source) -> Iterator[Source]:
    """Yield a source that can answer, and print on stderr if it is not the given one.

    Without StackSpot credentials, it is the proxy on this machine, or a simulator if none runs.
    """
    if source.url or not _lacks_credentials():
        yield source
        return
    url = f"http://127.0.0.1:{os.environ.get('PORT') or 4000}"
    from .proxy_backend import is_running  # noqa: PLC0415

    if source.key and is_running(url):
        click.echo(f"No StackSpot credentials in .env: asking the proxy on {url}.", err=True)
        yield dataclasses.replace(source, url=url)
        return
    from ..simulator import SimulatorThread  # noqa: PLC0415
    from .run import simulator_environment  # noqa: PLC0415

    with SimulatorThread() as simulator:
        click.echo(f"No StackSpot credentials in .env, and no proxy on {url}: a simulator answers.", err=True)
        os.environ.update(simulator_environment(simulator.url))
        yield source


def _lacks_credentials() -> bool:
    from ..settings import Settings  # noqa: PLC0415

    account = Settings.load().account
    return not account.accounts_file and bool(account.missing() or not account.agent_id)


def _address(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    if url and not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"{url!r} is not the address of a proxy: write it as http://127.0.0.1:4000.")
    return url


def _source(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that select the models; the command receives them as `source`."""

    @click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path))
    @click.option("--url", callback=_address, help="Use the proxy at this URL instead.")
    @click.option("--key", help="API key of that proxy  [default: LITELLM_MASTER_KEY]")
    @functools.wraps(command)
    def with_source(config: Path, url: str | None, key: str | None, **options: Any) -> None:
        load(Path.cwd() / ".env")
        given = Source(config, url, key or os.environ.get("LITELLM_MASTER_KEY"))
        with _print_errors(), _with_models(given) as source:
            command(source=source, **options)

    return with_source


@click.command(short_help="List the models.")
@_source
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(source: Source, *, as_json: bool) -> None:
    """List the models that clients can use."""
    found = [model.summary() for model in source.models()]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        click.echo(table(("NAME", "PROVIDER", "MODEL"), [tuple(model.values()) for model in found]))


@click.command(short_help="Ask a model.")
@_source
@click.option("--model", required=True, help="Name of the model, as `models` lists it.")
@click.option("--user", required=True, help="User message.")
@click.option("--system", help="System message.")
@click.option("--correlation-id", help="Names the conversation at StackSpot and in the log.")
@click.option("--stream", is_flag=True, help="Print the text as it arrives.")
@click.option(
    "--json", "as_json", is_flag=True, help="With --stream: print a JSON line per delta, then one for the answer."
)
def chat(
    source: Source,
    *,
    model: str,
    user: str,
    system: str | None,
    correlation_id: str | None,
    stream: bool,
    as_json: bool,
) -> None:
    """Ask a model; print its answer, metrics and usage as JSON."""
    messages = [{"role": "system", "content": system}] if system else []
    body = {"model": model, "messages": [*messages, {"role": "user", "content": user}]}
    headers = {"x-request-id": str(uuid.uuid4())} | ({"correlation-id": correlation_id} if correlation_id else {})
    asyncio.run(_ask(source.open(), body, headers, _emitter(stream, as_json)))


def _emitter(stream: bool, as_json: bool) -> Emit:
    """Return a function that prints a delta (text), or at the end the answer (a mapping)."""

    def readable(piece: Mapping[str, Any] | str) -> None:
        click.echo(piece if isinstance(piece, str) else "", nl=not isinstance(piece, str))

    def lines(piece: Mapping[str, Any] | str) -> None:
        click.echo(json.dumps({"delta": piece} if isinstance(piece, str) else piece, ensure_ascii=False))

    def whole(piece: Mapping[str, Any] | str) -> None:
        if not isinstance(piece, str):
            click.echo(json.dumps(piece, ensure_ascii=False, indent=2))

    return (lines if as_json else readable) if stream else whole


async def _ask(
    source: LibraryBackend | ProxyBackend, body: dict[str, Any], headers: dict[str, str], emit: Emit
) -> None:
    from ..proxy.chunk_accumulator import ChunkAccumulator  # noqa: PLC0415

    answer, began, first = ChunkAccumulator(), time.perf_counter(), None
    async with contextlib.aclosing(source), source.stream(body, headers) as stream:
        async for chunk in stream.chunks:
            if text := answer.feed(chunk):
                first = first or _milliseconds(began)
                emit(text)
        metrics = {"latency_ms": _milliseconds(began), "time_to_first_token_ms": first}
    provider = next((entry.provider for entry in source.models if entry.name == body["model"]), None)
    call = {"model": body["model"], "provider": provider, "request_id": headers["x-request-id"]}
    emit(call | _whole(answer, metrics))


def _whole(answer: ChunkAccumulator, metrics: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the answer in the form of `POST /chat`, with its metrics."""
    return {
        "content": answer.text,
        "reply": answer.text,
        "usage": answer.usage,
        "latency_ms": metrics["latency_ms"],
        "metrics": metrics,
        **({"tool_calls": answer.tool_calls} if answer.tool_calls else {}),
    }


def _milliseconds(since: float) -> float:
    return round((time.perf_counter() - since) * 1000, 1)


@contextlib.contextmanager
def _print_errors() -> Iterator[None]:
    """Print an error in one line and exit with code 1."""
    from ..errors import StackspotError  # noqa: PLC0415
    from ..proxy.client import ProxyResponseError  # noqa: PLC0415

    try:
        yield
    except (StackspotError, ProxyResponseError) as error:
        raise click.ClickException(str(error)) from None
