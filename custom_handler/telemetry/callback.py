"""The LiteLLM callback that records every call."""

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
from .call_log import CallLog
from .call_record import CallRecorder
from .jsonl_writer import JsonLinesWriter
from .run_folder import RunFolder


class TelemetryCallback(CustomLogger):  # type: ignore[misc]
    """Records each call in interactions.jsonl (unless `settings` disable that) and in the log."""

    def __init__(self, settings: TelemetrySettings) -> None:
        super().__init__()
        self._telemetry = settings.enabled
        self.call_log = CallLog()
        self._run_folder = RunFolder(Path(settings.runs_dir))
        self._writer = JsonLinesWriter(self._run_folder.interactions)
        self.recorder = CallRecorder(self._write, content=settings.log_messages, on_line=self.call_log.add_report)
        atexit.register(self._writer.flush)

    def start_run(self, models: Iterable[Deployment]) -> None:
        """Write the manifest, which lists these models, before the first call."""
        self._run_folder.models = [model.summary() for model in models]
        if self._telemetry:
            self._writer.start()

    async def aclose(self) -> None:
        """Wait for LiteLLM's pending callbacks, then write everything to the log and the disk."""
        await wait_for_callbacks()
        self.call_log.flush()
        await asyncio.to_thread(self._writer.flush)

    async def async_log_success_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Record the call of an asynchronous caller."""
        self.recorder.record(kwargs)

    async_log_failure_event = async_log_success_event

    def log_success_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Record the call of a blocking caller."""
        self.recorder.record_blocking(kwargs)

    log_failure_event = log_success_event

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._telemetry:
            self._writer.write(line)
