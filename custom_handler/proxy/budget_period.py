"""The periods after which the spend of an API key starts again at 0, in UTC as LiteLLM has them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from ..data_class import data_class

DURATIONS = ("1h", "1d", "7d", "30d", "1mo")
"""Of LiteLLM's `budget_duration`, those that begin at fixed times."""


@data_class
class Period:
    """Its start and its end, in seconds since the epoch; 0 and None for one without end."""

    start: int = 0
    end: int | None = None


def current_period(duration: str | None, now: float) -> Period:
    """Return the period of a time: an hour, a day, a week from Monday, or a calendar month.

    Without a duration there is one period without end.

    >>> current_period("1h", 7300)
    Period(start=7200, end=10800)
    """
    if duration is None:
        return Period()
    time = datetime.fromtimestamp(now, timezone.utc).replace(minute=0, second=0, microsecond=0)
    midnight = time.replace(hour=0)
    if duration == "1h":
        start, end = time, time + timedelta(hours=1)
    elif duration == "1d":
        start, end = midnight, midnight + timedelta(days=1)
    elif duration == "7d":
        start = midnight - timedelta(days=midnight.weekday())
        end = start + timedelta(days=7)
    else:
        start = midnight.replace(day=1)
        end = (start + timedelta(days=31)).replace(day=1)
    return Period(int(start.timestamp()), int(end.timestamp()))
