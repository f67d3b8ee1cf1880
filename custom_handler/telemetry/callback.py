"""Hears of every call from LiteLLM, and writes it down."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from ..proxy.config import Deployment
from ..proxy.lifecycle import wait_for_callbacks
from ..settings import TelemetrySettings
from .call_log import Calls
from .call_record import CallRecorder
from .jsonl_writer import JsonLinesWriter
from .run_folder import RunFolder


class TelemetryCallback(CustomLogger):  # type: ignore[misc]
    """A callback of LiteLLM's that writes a line about each call, unless `settings` say otherwise."""

    def __init__(self, settings: TelemetrySettings) -> None:
        super().__init__()
        self._telemetry = settings.enabled
        self.calls = Calls()
        self._run = RunFolder(Path(settings.runs_dir))
        self._journal = JsonLinesWriter(self._run.interactions)
        self._interactions = CallRecorder(self._write, content=settings.log_messages, note=self.calls.note)
        atexit.register(self._journal.flush)

    def begin(self, models: Iterable[Deployment]) -> None:
        """Write the manifest, with these models, before there is a call."""
        self._run.models = [model.described() for model in models]
        if self._telemetry:
            self._journal.start()

    async def aclose(self) -> None:
        """Write down what LiteLLM has yet to tell, and what is not on the disk yet."""
        await wait_for_callbacks()
        self.calls.flush()
        await asyncio.to_thread(self._journal.flush)

    def refused(self, request: Mapping[str, Any], error: Exception, route: str | None, key: str | None) -> None:
        """Write down a request that failed in the proxy, before it became a call."""
        self._interactions.refused(request, error, route, key)

    async def async_log_success_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Write down a call that somebody awaited."""
        self._interactions.ended(kwargs)

    async def async_log_failure_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Write down a failed call that somebody awaited."""
        self._interactions.ended(kwargs)

    def log_success_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Write down a call of a program that uses LiteLLM as a library."""
        self._interactions.ended_blocking(kwargs)

    def log_failure_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Write down a failed call of such a program."""
        self._interactions.ended_blocking(kwargs)

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._telemetry:
            self._journal.write(line)
