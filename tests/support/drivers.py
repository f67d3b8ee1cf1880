"""Run a generator of steps with a StackspotClient, in its two ways, and return every event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from custom_handler.stackspot.agent_call import Steps
from custom_handler.stackspot.client import StackspotClient

Drive = Callable[[StackspotClient, Steps[Any]], list[Any]]


def run(client: StackspotClient, steps: Steps[Any]) -> list[Any]:
    """Run the steps from this thread, which waits."""
    return [event for events in client.run(steps) for event in events]


def arun(client: StackspotClient, steps: Steps[Any]) -> list[Any]:
    """Run the steps on an event loop of their own."""

    async def gather() -> list[Any]:
        return [event async for events in client.arun(steps) for event in events]

    return asyncio.run(gather())
