"""The quota of an account's Quick Commands, which is apart from that of its agents."""

from __future__ import annotations

from dataclasses import replace

from ..settings import Settings
from .limiter import Limiter
from .state.backend import open_quick_command_window


def quick_command_limiter(settings: Settings) -> Limiter:
    """Return the queue of the requests to Quick Commands: polls are counted in it, too."""
    limits = replace(
        settings.limits,
        requests_per_minute=settings.limits.quick_commands_per_minute,
        requests_per_day=settings.limits.quick_commands_per_day,
    )
    return Limiter(limits, open_quick_command_window(settings))
