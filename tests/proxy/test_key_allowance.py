"""The limits of LiteLLM's own, in the headers of a response."""

from __future__ import annotations

import pytest
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.hooks import parallel_request_limiter_v3 as limiter

from custom_handler.proxy.key_allowance import exhausted_allowance, key_allowance
from custom_handler.request.caller import Allowance
from custom_handler.request.context import RequestContext, report_allowance


def status(limit: int, remaining: int, kind: str = "requests", descriptor: str = "api_key") -> dict[str, object]:
    counts = {"code": "OK", "current_limit": limit, "limit_remaining": remaining}
    return counts | {"rate_limit_type": kind, "descriptor_key": descriptor}


@pytest.mark.parametrize(
    ("statuses", "allowance"),
    [
        ([], None),
        ([status(1000, 3, "tokens")], None),
        ([status(60, 7), status(10, 4, descriptor="team"), status(9, 1, "tokens")], Allowance(10, 4, 60)),
        ([status(60, -2)], Allowance(60, 0, 60)),
    ],
)
def test_the_limit_with_the_fewest_requests_left_counts(statuses, allowance):
    stash = limiter.get_or_create_request_stash()
    stash.rate_limit_response = {"overall_code": "OK", "statuses": statuses}
    assert key_allowance() == allowance
    stash.rate_limit_response = None
    assert key_allowance() is None


class Refused(Exception):
    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-") if name == "retry_after" else name: v for name, v in headers.items()}


def test_only_a_429_for_the_keys_requests_leaves_nothing():
    key = UserAPIKeyAuth(api_key="a" * 64, rpm_limit=5)
    assert exhausted_allowance(Refused(rate_limit_type="requests", retry_after="37"), key) == Allowance(5, 0, 37)
    assert exhausted_allowance(Refused(rate_limit_type="tokens", retry_after="37"), key) is None
    assert exhausted_allowance(Refused(rate_limit_type="requests"), UserAPIKeyAuth(api_key="a" * 64)) is None
    assert exhausted_allowance(ValueError(), key) is None


def test_the_least_of_several_limits_is_in_the_response():
    request = RequestContext({})
    assert request.allowance is None
    with request.served():
        report_allowance(Allowance(90, 5, 10))
        report_allowance(Allowance(6, 5, 60), "key")
        assert request.allowance == Allowance(6, 5, 60)
        report_allowance(Allowance(90, 4, 10))
        assert request.allowance == Allowance(90, 4, 10)
        report_allowance(None)
        report_allowance(None)
        assert request.allowance == Allowance(6, 5, 60)
