"""`models` and `chat`: the models of config.yaml, asked in this process, or a proxy's with `--url` and `--key`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from dotenv import load_dotenv

from .quiet import alone
from .table import table

if TYPE_CHECKING:
    from ..service.config import Deployment
    from ..service.direct import Direct
    from ..service.fold import Fold
    from ..service.remote import Remote

Emit = Callable[[Mapping[str, Any] | str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """Whose models are meant: those of a file, or of a proxy."""

    config: Path
    url: str | None
    key: str | None = field(repr=False)

    def models(self) -> Sequence[Deployment]:
        """List the models."""
        from ..service.config import deployments, read_config  # noqa: PLC0415  each command loads what it needs

        return self._remote(self.url).models if self.url else deployments(read_config(self.config))

    def open(self) -> Direct | Remote:
        """Make ready to ask."""
        if self.url:
            return self._remote(self.url)
        alone()
        from ..service.config import read_config  # noqa: PLC0415
        from ..service.direct import Direct  # noqa: PLC0415  LiteLLM takes seconds to import

        return Direct(read_config(self.config))

    def _remote(self, url: str) -> Remote:
        from ..service.remote import Remote  # noqa: PLC0415

        if not self.key:
            raise click.UsageError("--url needs --key, or LITELLM_MASTER_KEY in the environment or in .env.")
        return Remote(url, self.key)


def _address(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    if url and not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"{url!r} is no address of a proxy: it begins as http://127.0.0.1:4000 does.")
    return url


def _source(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that make its `source`."""

    @click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path))
    @click.option("--url", callback=_address, help="Ask the proxy at this address instead.")
    @click.option("--key", help="Key of that proxy; LITELLM_MASTER_KEY of the environment or of .env by default.")
    @functools.wraps(command)
    def with_source(config: Path, url: str | None, key: str | None, **options: Any) -> None:
        load_dotenv(Path.cwd() / ".env")
        with _told():
            command(source=Source(config, url, key or os.environ.get("LITELLM_MASTER_KEY")), **options)

    return with_source


@click.command()
@_source
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(source: Source, *, as_json: bool) -> None:
    """List the models that clients can ask for."""
    found = [model.described() for model in source.models()]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        click.echo(table(("NAME", "PROVIDER", "MODEL"), [tuple(model.values()) for model in found]))


@click.command()
@_source
@click.option("--model", required=True, help="A name that `models` lists.")
@click.option("--user", required=True, help="What to say.")
@click.option("--system", help="Instructions that go before.")
@click.option("--correlation-id", help="Name of the conversation, for Stackspot and the log.")
@click.option("--stream", is_flag=True, help="Print the text as it comes.")
@click.option(
    "--json", "as_json", is_flag=True, help="With --stream: a line of JSON for each piece, the last for the whole."
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
    """Ask a model, and print its answer with its metrics and usage as JSON."""
    messages = [{"role": "system", "content": system}] if system else []
    body = {"model": model, "messages": [*messages, {"role": "user", "content": user}]}
    headers = {"x-request-id": str(uuid.uuid4())} | ({"correlation-id": correlation_id} if correlation_id else {})
    asyncio.run(_ask(source.open(), body, headers, _emitter(stream, as_json)))


def _emitter(stream: bool, as_json: bool) -> Emit:
    """Choose what is printed: pieces of text are given as they come, the whole answer last."""

    def readable(piece: Mapping[str, Any] | str) -> None:
        click.echo(piece if isinstance(piece, str) else "", nl=not isinstance(piece, str))

    def lines(piece: Mapping[str, Any] | str) -> None:
        click.echo(json.dumps({"delta": piece} if isinstance(piece, str) else piece, ensure_ascii=False))

    def whole(piece: Mapping[str, Any] | str) -> None:
        if not isinstance(piece, str):
            click.echo(json.dumps(piece, ensure_ascii=False, indent=2))

    return (lines if as_json else readable) if stream else whole


async def _ask(source: Direct | Remote, body: dict[str, Any], headers: dict[str, str], emit: Emit) -> None:
    from ..service.fold import Fold  # noqa: PLC0415

    fold, began, first = Fold(), time.perf_counter(), None
    async with source.stream(body, headers) as answer:
        async for chunk in answer.chunks:
            if text := fold.feed(chunk):
                first = first or _milliseconds(began)
                emit(text)
        metrics = {"latency_ms": _milliseconds(began), "time_to_first_token_ms": first}
    provider = next((entry.provider for entry in source.models if entry.name == body["model"]), None)
    told = {"model": body["model"], "provider": provider, "request_id": headers["x-request-id"]}
    emit(told | _whole(fold, metrics))


def _whole(fold: Fold, metrics: Mapping[str, float | None]) -> dict[str, Any]:
    """Write the answer as `POST /chat` does, and its metrics beside it."""
    return {
        "content": fold.text,
        "reply": fold.text,
        "usage": fold.usage,
        "latency_ms": metrics["latency_ms"],
        "metrics": metrics,
        **({"tool_calls": fold.tool_calls} if fold.tool_calls else {}),
    }


def _milliseconds(since: float) -> float:
    return round((time.perf_counter() - since) * 1000, 1)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say what went wrong in one line, with exit code 1."""
    from ..errors import StackspotError  # noqa: PLC0415
    from ..service.router import Refused  # noqa: PLC0415

    try:
        yield
    except (StackspotError, Refused) as error:
        raise click.ClickException(str(error)) from None
