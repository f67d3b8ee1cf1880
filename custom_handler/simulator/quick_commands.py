"""Executions of Quick Commands: created by a slug, and polled until they have ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .responses import fail
from .scripted import take_script
from .wire import RefusedError, error_body, new_ulid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .exchange import Exchange
    from .scripted import ScriptedResponse
    from .settings import SimulatedQuickCommand, SimulatorSettings


@dataclass(slots=True)
class Execution:
    """One execution; `polls` counts those without a cache, `cached` is the last report."""

    slug: str
    command: SimulatedQuickCommand
    answer: str
    account: str
    polls: int = 0
    cached: dict[str, Any] | None = None


class QuickCommands:
    """The executions of a simulator; `reply` answers the text of an input."""

    def __init__(self, reply: Callable[[str], str]) -> None:
        self._reply = reply
        self._executions: dict[str, Execution] = {}

    def create(
        self, settings: SimulatorSettings, slug: str, body: Mapping[str, Any], seconds: float, account: str
    ) -> Any:
        """Start an execution; return the response with its id."""
        command = settings.quick_commands.get(slug)
        if command is None:
            details = f"Quick Command {slug} not found."
            raise RefusedError(404, error_body("QUICK_COMMAND_NOT_FOUND", details, "NOT_FOUND"))
        if not command.shared:
            raise RefusedError(403, error_body("FORBIDDEN", "The Quick Command is not shared.", "FORBIDDEN"))
        given = body.get("input_data")
        if given is None and not body.get("upload_ids"):
            raise RefusedError(400, error_body("INVALID_INPUT", "input_data is required.", "VALIDATION"))
        identifier = new_ulid(seconds)
        answer = self._reply(given if isinstance(given, str) else json.dumps(given, ensure_ascii=False))
        self._executions[identifier] = Execution(slug, command, answer, account)
        if command.id_form == "object":
            return {"execution_id": identifier}
        return identifier if command.id_form == "text" else json.dumps(identifier)

    def report(self, identifier: str, account: str, *, cached: bool) -> dict[str, Any]:
        """Return the state of an execution; a poll that may be `cached` sees the last one."""
        execution = self._executions.get(identifier)
        if execution is None or execution.account != account:
            raise _unknown()
        if cached and execution.cached is not None:
            return execution.cached
        execution.polls += 1
        command, seen = execution.command, execution.polls - execution.command.missing_polls
        if seen <= 0:
            raise _unknown()
        ended = seen > command.polls and not command.stuck
        status = command.status if ended else "CREATED" if command.stuck else "RUNNING"
        answer, done = execution.answer, ended and command.status == "COMPLETED"
        progress = {
            "start": "2026-06-18T10:00:00.1+00:00",
            "end": "2026-06-18T10:00:09.1+00:00" if ended else None,
            "duration": 9.0 if ended else None,
            "execution_percentage": 1.0 if ended else round(seen / (command.polls + 1), 2),
            "status": status,
        }
        step = {"answer": answer, "sources": command.sources, "tools": []} if done else {}
        results = {"string": answer, "object": {"answer": answer}, "null": None}
        execution.cached = {
            "execution_id": identifier,
            "quick_command_slug": execution.slug,
            "conversation_id": None,
            "execution_tag": None,
            "progress": progress if command.progress or ended else None,
            "steps": [{"step_name": "llm", "execution_order": 0, "type": "LLM", "step_result": step}],
            "result": results[command.result] if done else None,
        }
        return execution.cached


async def send_scripted(exchange: Exchange, scripts: list[ScriptedResponse], at: str, slug: str) -> bool:
    """Play the scripted fault or HTTP response for this endpoint; return whether there was one."""
    scripted = take_script(scripts, at, slug)
    if scripted is None:
        return False
    await exchange.pause(scripted.delay_headers)
    if scripted.fault is not None:
        await fail(exchange, scripted)
        return True
    await exchange.send(scripted.status or 200, scripted.body, scripted.headers)
    return True


def _unknown() -> RefusedError:
    return RefusedError(404, error_body("EXECUTION_NOT_FOUND", "Execution not found.", "NOT_FOUND"))
