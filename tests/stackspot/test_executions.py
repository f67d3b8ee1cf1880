"""Executions of Quick Commands step by step: how long they are polled, by a clock of the test."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest

from custom_handler.errors import (
    AgentUnreachable,
    IdentityUnavailable,
    QueueFull,
    QuickCommandFailed,
    QuickCommandTimeout,
    QuotaExhausted,
    StackspotError,
)
from custom_handler.instrumentation import ExecutionPolled
from custom_handler.settings import AccountSettings, Settings
from custom_handler.stackspot.agent_call import AcquireSlot, AcquireToken, Read, ResponseHead, Send, Sleep, advance
from custom_handler.stackspot.deadline import Deadline
from custom_handler.stackspot.execution_report import ExecutionReport, read_execution_id
from custom_handler.stackspot.quick_commands import ExecutionCall, execute
from custom_handler.stackspot.tokens import Token

CALL = ExecutionCall("explain", "Hi", "c-1", input_data="Hi")
TOKEN = Token("t", 9e9, "acme")
DONE = {"progress": {"status": "COMPLETED"}, "result": "Hello."}


class Run:
    """An execution whose polls get `answers`, the last one again and again; the clock counts the pauses.

    A poll waits for each of `places` in the queue: for so many seconds, or it is refused. `tokens`
    are those before the usual ones.
    """

    def __init__(
        self,
        *answers: Any,
        timeout: float = 600,
        places: Iterable[float | StackspotError] = (),
        tokens: Iterable[Token | StackspotError] = (),
    ) -> None:
        self.now, self.pauses, self.urls = 0.0, list[float](), list[str]()
        self.waits, self.polled, self._places = list[float](), 0, itertools.chain([0.0], places)
        self._tokens = iter(tokens)
        self.reports = list[ExecutionReport]()
        settings = Settings(account=AccountSettings(quick_commands_url="https://x"))
        deadline = Deadline(timeout, lambda: self.now)
        self._steps = execute(CALL, settings, deadline, self._note, self.reports.append)
        self._answers, self._body = list(answers), b""

    def _note(self, measurement: object) -> None:
        self.polled += isinstance(measurement, ExecutionPolled)

    def result(self) -> ExecutionReport:
        step = advance(self._steps, None)
        try:
            while step is not None:
                outcome = self._perform(step)
                step = self._steps.throw(outcome) if isinstance(outcome, StackspotError) else self._steps.send(outcome)
        except StopIteration as end:
            report = end.value
            assert isinstance(report, ExecutionReport)
            return report
        raise AssertionError("The execution returned nothing.")

    def _perform(self, step: Any) -> Any:
        match step:
            case AcquireToken():
                return next(self._tokens, TOKEN)
            case AcquireSlot(timeout):
                self.waits.append(timeout)
                place = next(self._places, 0.0)
                if isinstance(place, StackspotError):
                    return place
                self.now += place
            case Sleep(seconds):
                self.pauses.append(seconds)
                self.now += seconds
            case Send(method="POST"):
                self._body = b'"01KC"'
                return ResponseHead(200, {})
            case Send(url):
                self.urls.append(url)
                answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
                if isinstance(answer, StackspotError):
                    return answer
                if isinstance(answer, int):
                    return ResponseHead(answer, {})
                self._body = json.dumps(answer).encode()
                return ResponseHead(200, {})
            case Read():
                body, self._body = self._body, b""
                return body or None
        return None


def test_the_pauses_grow_to_ten_seconds_and_no_poll_is_like_another() -> None:
    run = Run(*[{"progress": {"status": "RUNNING"}}] * 8, DONE)
    assert run.result().text == "Hello."
    assert 2 <= run.pauses[0] <= 2.4
    assert all(10 <= pause <= 12 for pause in run.pauses[-4:])
    assert len(set(run.urls)) == 9
    assert all(url.startswith("https://x/v1/quick-commands/callback/01KC?nocache=") for url in run.urls)


def test_an_execution_that_is_not_known_yet_is_polled_for_thirty_seconds() -> None:
    assert Run(404, 404, DONE).result().text == "Hello."
    run = Run(404)
    with pytest.raises(QuickCommandFailed, match="does not know the execution of the Quick Command"):
        run.result()
    assert 30 <= run.now < 45


def test_an_execution_that_does_not_start_within_a_minute_is_given_up() -> None:
    run = Run({"progress": {"status": "CREATED"}})
    with pytest.raises(QuickCommandTimeout, match="did not start within 60 s"):
        run.result()
    assert 60 < run.now < 75


def test_an_unknown_status_and_no_progress_are_polled_to_the_end_of_the_time() -> None:
    for report in ({"progress": {"status": "PONDERING"}}, {"progress": {"status": "RUNNING"}, "steps": None}):
        run = Run(report, timeout=300)
        with pytest.raises(QuickCommandTimeout, match="The Quick Command 'explain' did not finish within 300 s"):
            run.result()
        assert 280 < run.now <= 300


def test_failures_that_may_pass_are_polled_over_three_times_in_a_row() -> None:
    gone = AgentUnreachable("gone")
    assert Run(gone, 503, 502, {"progress": {"status": "RUNNING"}}, gone, DONE).result().text == "Hello."
    run = Run(gone)
    with pytest.raises(AgentUnreachable):
        run.result()
    assert len(run.urls) == 4


REFUSED = QueueFull("no place came free in time", retry_after=70)
EXHAUSTED = QuotaExhausted("minutes is reached", retry_after=86400)


def test_a_poll_waits_for_its_place_to_the_end_of_the_time() -> None:
    run = Run({"progress": {"status": "RUNNING"}}, DONE, timeout=300, places=[REFUSED, 120, REFUSED, REFUSED])
    assert run.result().text == "Hello."
    assert run.waits[0] == Settings().limits.queue_timeout, "before it starts, it waits like any request"
    assert run.waits[1] == pytest.approx(300 - run.pauses[0])
    assert run.polled == 2, "polls that had no place are none"


@pytest.mark.parametrize("refusal", [REFUSED, EXHAUSTED])
def test_an_execution_without_a_place_for_its_polls_ends_with_its_time_and_is_not_started_again(refusal: Any) -> None:
    ends = Run(DONE, timeout=300, places=itertools.repeat(refusal)), Run(refusal, timeout=300)
    for run in ends:
        with pytest.raises(QuickCommandTimeout, match=r"300 s: the quota .* had no place for its last polls") as end:
            run.result()
        assert 280 < run.now <= 300
        assert (end.value.retry_after, end.value.resend) == (None, False)


def test_an_error_of_a_started_execution_lets_nobody_start_another() -> None:
    busy = AgentUnreachable("busy", retry_after=5)
    for answer in (busy, 418, {"progress": {"status": "FAILURE"}}):
        with pytest.raises(StackspotError) as end:
            Run(answer).result()
        assert (end.value.retryable, end.value.resend, end.value.retry_after) == (False, False, None)
    assert (busy.retryable, busy.resend, busy.retry_after) == (True, True, 5), "other calls may have the same"


def test_a_token_that_cannot_be_fetched_now_loses_no_execution() -> None:
    assert Run(DONE, tokens=[TOKEN, IdentityUnavailable("no token")]).result().text == "Hello."


def test_progress_is_reported() -> None:
    half = {"progress": {"status": "RUNNING", "execution_percentage": 0.5}, "steps": [{"step_result": {"answer": "a"}}]}
    run = Run(half, DONE)
    run.result()
    assert [(one.status, one.percentage, one.steps) for one in run.reports] == [
        ("RUNNING", 50, 1),
        ("COMPLETED", None, 0),
    ]


@pytest.mark.parametrize("body", ["01KC", '"01KC"', " 01KC\n", {"execution_id": "01KC"}, {"id": "01KC"}])
def test_every_shape_of_an_execution_id_is_read(body: Any) -> None:
    assert read_execution_id(body) == "01KC"


@pytest.mark.parametrize("body", ["", "../x", "a b", {"execution_id": None}, ["01KC"], 7, None, "x" * 65])
def test_anything_else_is_no_execution_id(body: Any) -> None:
    assert not read_execution_id(body)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"result": "a"}, "a"),
        ({"result": ""}, ""),
        ({"result": {"a": "é"}}, '{"a": "é"}'),
        ({"result": [1]}, "[1]"),
        ({"steps": [{"execution_order": 1, "step_result": {"answer": "b"}}, {"step_result": {"answer": "a"}}]}, "b"),
        ({"steps": [{"step_result": {"status_code": 200, "data": "x", "json_data": {"y": 1}}}]}, '{"y": 1}'),
        ({"steps": [{"step_result": "a"}, {"step_result": None}, None]}, "a"),
        ({"steps": {}}, None),
    ],
)
def test_the_result_is_text(body: dict[str, Any], text: str | None) -> None:
    assert ExecutionReport.read({"progress": {"status": "completed"}, **body}).text == text
