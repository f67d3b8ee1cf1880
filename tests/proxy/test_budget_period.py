"""When the spend of a key starts again."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from litellm.litellm_core_utils.duration_parser import get_next_standardized_reset_time

from custom_handler.proxy.budget_period import DURATIONS, Period, current_period


def at(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


@pytest.mark.parametrize("duration", DURATIONS)
@pytest.mark.parametrize(
    "now", ["2026-11-28T14:30:01", "2026-12-31T23:59:59", "2028-02-29T00:00:00", "2026-11-30T00:00:00"]
)
def test_a_period_ends_when_litellm_resets_a_virtual_key(duration: str, now: str) -> None:
    period = current_period(duration, at(now))
    reset = get_next_standardized_reset_time(duration, datetime.fromtimestamp(at(now), timezone.utc))
    assert period.end == reset.timestamp()
    assert period.start <= at(now) < period.end
    assert current_period(duration, period.start) == current_period(duration, period.end - 1) == period
    assert current_period(duration, period.end).start == period.end


def test_without_a_duration_there_is_one_period() -> None:
    assert current_period(None, 5) == current_period(None, 5e9) == Period(0, None)
