"""Executions of Quick Commands step by step: how long they are polled, by a clock of the test."""

from __future__ import annotations

import json
from typing import Any

import pytest

from custom_handler.errors import AgentUnreachable, QuickCommandFailed, QuickCommandTimeout, StackspotError
from custom_handler.settings import AccountSettings, Settings
from custom_handler.stackspot.agent_call import AcquireToken, Read, ResponseHead, Send, Sleep, advance
from custom_handler.stackspot.deadline import Deadline
from custom_handler.stackspot.execution_report import ExecutionReport, read_execution_id
from custom_handler.stackspot.quick_commands import ExecutionCall, execute
from custom_handler.stackspot.tokens import Token

CALL = ExecutionCall("explain", "Hi", "c-1", input_data="Hi")
DONE = {"progress": {"status": "COMPLETED"}, "result": "Hello."}


class Run:
    """An execution whose polls get `answers`, the last one again and again; the clock counts the pauses."""

    def __init__(self, *answers: Any, timeout: float = 600) -> None:
        self.now, self.pauses, self.urls = 0.0, list[float](), list[str]()
        self.reports = list[ExecutionReport]()
        settings = Settings(account=AccountSettings(quick_commands_url="https://x"))
        deadline = Deadline(timeout, lambda: self.now)
        self._steps = execute(CALL, settings, deadline, progress=self.reports.append)
        self._answers, self._body = list(answers), b""

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
                return Token("t", 9e9, "acme")
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
