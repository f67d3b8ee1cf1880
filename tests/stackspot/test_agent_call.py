"""What a call of the agent needs, step by step, with the answers handed in by the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from custom_handler.errors import (
    AgentFailed,
    AgentNotFound,
    AgentUnreachable,
    ContentFiltered,
    QueueFull,
    QuotaExhausted,
    RateLimited,
    StackspotError,
    TokenRefused,
)
from custom_handler.instrumentation import Retried
from custom_handler.settings import AccountSettings, LimitSettings, Settings
from custom_handler.stackspot.agent_call import (
    AcquireSlot,
    AcquireToken,
    AgentCall,
    ReportRateLimit,
    ResponseHead,
    Send,
    Sleep,
    Steps,
    advance,
    open_stream,
    read_nothing,
)
from custom_handler.stackspot.deadline import Deadline
from custom_handler.stackspot.tokens import Token
from tests.support.clock import Clock

SETTINGS = Settings(
    account=AccountSettings(inference_url="https://inference.example"), limits=LimitSettings(timeout=600)
)
CALL = AgentCall("01ARZ3NDEKTSV4RRFFQ69G5FAV", "Olá, “mundo” ☀", "conversation-7")
TOKEN = Token("the-token", 1200)
FRESH = Token("fresh-token", 1200)


class Opening:
    """What was asked for until an answer could be read, and measured, while these answers were given to the requests.

    An answer is a head, or an error that the network met with; `slots` are the answers to the slots that are needed.
    """

    def __init__(
        self,
        *answers: Any,
        slots: Iterable[Any] = (),
        timeout: float = 600,
        settings: Settings = SETTINGS,
        clock: Clock | None = None,
        read_start: Callable[[], Steps[Any]] = read_nothing,
    ):
        self.clock = clock or Clock()
        self.asked: list[Any] = []
        self.measured: list[Any] = []
        self.error: StackspotError | None = None
        self._answers, self._slots = iter(answers), iter(slots)
        self._tokens = iter((TOKEN, FRESH, *(Token(f"token-{number}", 1200) for number in range(9))))
        deadline = Deadline(timeout, self.clock)
        steps = open_stream(CALL, settings, deadline, self.measured.append, read_start=read_start)
        try:
            step = advance(steps, None)
            while step is not None:
                self.asked += [step]
                step = advance(steps, self._answer(step))
        except StackspotError as error:
            self.error = error

    def _answer(self, step: Any) -> Any:
        match step:
            case AcquireToken():
                return next(self._tokens)
            case AcquireSlot():
                return next(self._slots, None)
            case Sleep(seconds):
                self.clock.now += seconds
                return None
            case Send():
                return next(self._answers)
        return None

    def of(self, kind: type) -> list[Any]:
        return [step for step in self.asked if isinstance(step, kind)]

    @property
    def sent(self) -> list[Send]:
        return self.of(Send)


GOOD = ResponseHead(200, {})
DAILY = b"Maximum number of requests reached. Your limit is 6,000 requests in the last 24 hours"


def refused(status: int, body: bytes = b"", **headers: str) -> ResponseHead:
    return ResponseHead(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def test_a_good_call_needs_a_token_a_slot_and_one_request():
    opening = Opening(GOOD)
    assert [type(step) for step in opening.asked] == [AcquireToken, AcquireSlot, Send]
    assert (opening.error, opening.measured) == (None, [])


def test_the_request_has_exactly_the_four_fields_of_the_contract():
    request = Opening(GOOD).sent[0]
    assert json.loads(request.content) == {
        "streaming": True,
        "user_prompt": "Olá, “mundo” ☀",
        "stackspot_knowledge": False,
        "return_ks_in_response": False,
    }
    assert request.url == "https://inference.example/v1/agent/01ARZ3NDEKTSV4RRFFQ69G5FAV/chat"


def test_the_request_carries_token_types_and_correlation_id():
    request = Opening(GOOD).sent[0]
    assert request.headers == {
        "authorization": "Bearer the-token",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "correlation-id": "conversation-7",
    }


@pytest.mark.parametrize(("timeout", "wait"), [(30, 30), (600, 120)])
def test_a_request_waits_for_the_first_text_until_the_deadline(timeout, wait):
    assert Opening(GOOD, timeout=timeout).sent[0].timeout == wait


def test_a_slot_waits_for_queue_timeout_but_not_past_the_deadline():
    assert Opening(GOOD).of(AcquireSlot) == [AcquireSlot(60)]
    assert Opening(GOOD, timeout=20).of(AcquireSlot) == [AcquireSlot(20)]


def test_a_rejected_token_is_renewed_and_the_call_repeated_once():
    opening = Opening(refused(401), GOOD)
    assert opening.error is None
    assert opening.of(AcquireToken) == [AcquireToken(timeout=60), AcquireToken(rejected=TOKEN, timeout=120)]
    assert [request.headers["authorization"] for request in opening.sent] == [
        "Bearer the-token",
        "Bearer fresh-token",
    ]
    assert opening.sent[0].content == opening.sent[1].content
    assert len(opening.of(AcquireSlot)) == 2


def test_a_second_401_ends_the_call():
    opening = Opening(refused(401), refused(401, b'{"code": "UNAUTHORIZED"}'))
    assert isinstance(opening.error, TokenRefused)
    assert (opening.error.status_code, "UNAUTHORIZED" in opening.error.message) == (502, True)
    assert opening.measured == []


PASSING = {
    "500": refused(500),
    "502": refused(502, b"<html>"),
    "503": refused(503),
    "504": refused(504),
    "408": refused(408),
    "no connection": AgentUnreachable("no"),
}


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
def test_a_temporary_failure_is_retried_with_growing_delays(failure):
    opening = Opening(failure, failure, failure, GOOD)
    assert opening.error is None
    assert len(opening.sent) == 4
    waits = [step.seconds for step in opening.of(Sleep)]
    assert [low <= wait <= 2 * low for low, wait in zip((0.25, 0.5, 1), waits, strict=True)] == [True] * 3
    assert len(opening.measured) == 3
    assert {type(measure) for measure in opening.measured} == {Retried}


def test_the_failure_is_raised_after_four_requests():
    opening = Opening(*[refused(503)] * 4)
    assert (type(opening.error), len(opening.sent)) == (AgentFailed, 4)


def test_max_retries_is_a_setting():
    assert len(Opening(refused(503), settings=SETTINGS.changed(limits={"max_retries": 0})).sent) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422])
def test_a_permanent_failure_is_raised_at_once(status):
    assert len(Opening(refused(status)).sent) == 1


def test_a_retry_waits_for_the_agents_retry_after():
    assert [step.seconds for step in Opening(refused(503, retry_after="7"), GOOD).of(Sleep)] == [7]


@pytest.mark.parametrize(("wait", "timeout"), [("30", 29), ("120", 600)], ids=["the end", "the first text"])
def test_no_retry_waits_past_the_deadline(wait, timeout):
    opening = Opening(refused(503, retry_after=wait), timeout=timeout)
    assert (opening.of(Sleep), opening.error.retry_after) == ([], float(wait))


def test_attempts_share_one_deadline():
    opening = Opening(refused(503, retry_after="50"), refused(503, retry_after="50"), refused(503, retry_after="50"))
    assert [request.timeout for request in opening.sent] == [120, 70, 20]
    assert isinstance(opening.error, AgentFailed)


@pytest.mark.parametrize(("headers", "asked"), [({"retry_after": "7"}, 7), ({}, None), ({"retry_after": "soon"}, None)])
def test_a_429_pauses_the_queue_and_waits_there(headers, asked):
    opening = Opening(refused(429, **headers), refused(429, **headers), GOOD)
    assert opening.of(ReportRateLimit) == [ReportRateLimit(asked)] * 2
    assert (opening.of(Sleep), len(opening.of(AcquireSlot)), opening.error) == ([], 3, None)


def test_the_waits_after_429s_are_one_wait_in_the_queue():
    clock = Clock()

    def wait(*seconds: float) -> Iterator[None]:
        for passed in seconds:
            clock.now += passed
            yield None

    opening = Opening(*[refused(429)] * 3, GOOD, slots=wait(50, 10, 20, 30), clock=clock)
    assert [step.timeout for step in opening.of(AcquireSlot)] == [60, 60, 50, 30]


@pytest.mark.parametrize("body", [b'{"details": "limit is 100 requests in the last 1440 minutes"}', DAILY])
def test_a_limit_that_lasts_for_hours_is_neither_waited_for_nor_a_pause_for_others(body):
    opening = Opening(refused(429, body), GOOD)
    assert isinstance(opening.error, QuotaExhausted)
    assert (opening.error.retry_after, len(opening.sent), opening.of(ReportRateLimit)) == (86_400, 1, [])


def starts(*failures: StackspotError | None) -> Callable[[], Steps[Any]]:
    """Read the start of one answer after the other: it fails, or has text."""
    left = iter(failures)

    def read_start() -> Steps[Any]:
        if (failure := next(left)) is not None:
            raise failure
        yield from ()

    return read_start


def test_an_error_in_the_place_of_an_answer_is_retried_like_one_with_a_status():
    opening = Opening(GOOD, GOOD, read_start=starts(AgentFailed("no"), None))
    assert (opening.error, len(opening.sent), len(opening.of(Sleep))) == (None, 2, 1)
    opening = Opening(*[GOOD] * 4, read_start=starts(*[AgentFailed("no")] * 4))
    assert (type(opening.error), len(opening.sent)) == (AgentFailed, 4)
    opening = Opening(GOOD, read_start=starts(ContentFiltered("no")))
    assert (type(opening.error), len(opening.sent)) == (ContentFiltered, 1)


def test_a_limit_in_the_place_of_an_answer_pauses_the_queue():
    opening = Opening(GOOD, GOOD, read_start=starts(RateLimited("no"), None))
    assert (opening.of(ReportRateLimit), opening.of(Sleep), opening.error) == ([ReportRateLimit(None)], [], None)


def test_a_429_is_raised_where_the_queue_cannot_wait_for_its_end():
    opening = Opening(refused(429, retry_after="900"), slots=(None, QueueFull("no", retry_after=900)))
    assert (type(opening.error), opening.error.retry_after) == (RateLimited, 900)


def test_a_429_is_raised_with_the_queues_wait_if_that_is_longer():
    error = Opening(refused(429, retry_after="1"), slots=(None, QueueFull("no", retry_after=37.2))).error
    assert (type(error), error.retry_after) == (RateLimited, 37.2)
    assert "try again in 38 s" in error.message


def test_a_full_queue_raises_queue_full():
    opening = Opening(slots=(QueueFull("no", retry_after=5),))
    assert (type(opening.error), opening.sent) == (QueueFull, [])


def test_an_account_without_credit_does_not_pause_the_queue():
    opening = Opening(refused(429, b"Credit Limit Reached"))
    assert (opening.error.status_code, opening.of(ReportRateLimit), len(opening.sent)) == (402, [], 1)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"code": "AGENT_NOT_FOUND", "details": "x"}', "AGENT_NOT_FOUND"),
        (b"<html>", "no such agent"),
        (b"\xff", "no such agent"),
        (b"", "no such agent"),
    ],
    ids=["json", "page", "no text", "empty"],
)
def test_an_error_response_is_read_with_any_body(body, text):
    error = Opening(refused(404, body)).error
    assert isinstance(error, AgentNotFound)
    assert text in error.message


def test_a_lone_surrogate_in_the_prompt_does_not_stop_the_call():
    steps = open_stream(AgentCall("a", "x\ud83d", "c"), SETTINGS, Deadline(1, Clock()))
    next(steps)
    steps.send(TOKEN)
    assert json.loads(steps.send(None).content)["user_prompt"] == "x?"


def test_no_repr_contains_the_prompt_or_the_token():
    shown = repr(Opening(GOOD).asked) + repr(CALL)
    assert "mundo" not in shown
    assert "the-token" not in shown
