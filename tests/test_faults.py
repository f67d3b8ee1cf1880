"""Every fault of the simulator, as a caller of each of the four methods meets it; `docs/faults.md` tells the same in words."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import litellm
import pytest

from custom_handler import StackspotLLM
from custom_handler.simulator.responses import ENDLESS_PIECE
from custom_handler.simulator.scripted import FAULTS as SIMULATED

TABLE = Path(__file__).resolve().parents[1] / "docs" / "faults.md"
QUICK = 0.4


@dataclass(frozen=True, slots=True)
class Fault:
    """What the agent does, each time it is asked, and what becomes of it: an answer, or an error after some text.

    `requests` is how often the agent is asked; `timeout` is that of the call.
    """

    id: str
    plays: tuple[dict[str, Any], ...]
    requests: int = 1
    answer: str | None = None
    error: type[Exception] | None = None
    says: str = ""
    text_before: str = ""
    timeout: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)


def times(number: int, **play: Any) -> tuple[dict[str, Any], ...]:
    return (play,) * number


WORDS = {"pieces": ["um", " dois"]}
SOON = {"Retry-After": "1"}
CUT = litellm.BadGatewayError
LATE = litellm.Timeout
AWAY = litellm.ServiceUnavailableError
FILTERED = litellm.ContentPolicyViolationError
LONG = litellm.ContextWindowExceededError
UNPAID = litellm.exceptions.PaymentRequiredError
BLOCKED = {"details": "Output blocked by content filtering policy"}
TOO_LONG = {"details": "Input is too long for requested model."}
ERROR = {"type": "error", "message": "boom"}
CREDIT = {"message": "Credit Limit Reached"}
DAILY = {"details": "Maximum number of requests reached. Your limit is 100 requests in the last 1440 minutes"}

FAULTS = [
    Fault("reset before the answer, once", ({"fault": "reset_before"}, WORDS), 2, "um dois"),
    Fault("reset before the answer, always", times(4, fault="reset_before"), 4, None, AWAY, "cannot be reached"),
    Fault("closed before the answer, once", ({"fault": "close_before"}, WORDS), 2, "um dois"),
    Fault("closed before the answer, always", times(4, fault="close_before"), 4, None, AWAY, "cannot be reached"),
    Fault("headers that never come", times(1, fault="hang_headers"), 1, None, LATE, "sent nothing", timeout=1.0),
    Fault("reset within the answer", times(1, fault="reset_within", **WORDS), 1, None, CUT, "broke within", "um"),
    Fault("closed within the answer", times(1, fault="close_within", **WORDS), 1, None, CUT, "broke within", "um"),
    Fault("a stream that stalls", times(1, fault="stall", **WORDS), 1, None, LATE, "", "um", QUICK),
    Fault("empty frames without end", times(1, fault="endless_empty"), 1, None, LATE, "sent no text", timeout=QUICK),
    Fault("no last frame", times(1, omit_final=True, **WORDS), 1, "um dois"),
    Fault("an end within a character", times(1, fault="truncated_utf8", after=2, **WORDS), 1, "um dois"),
    Fault("half a surrogate pair", times(1, fault="surrogate", **WORDS), 1, "um\ufffd dois"),
    Fault("a line of 9 MB", times(1, fault="big_line", **WORDS), 1, None, CUT, "MAX_FRAME_BYTES", "um"),
    Fault("a line without end", times(1, fault="endless_frame", **WORDS), 1, None, CUT, "MAX_FRAME_BYTES", "um"),
    Fault(
        "text without end",
        times(1, fault="endless_text", **WORDS),
        1,
        f"um{ENDLESS_PIECE * 5}"[:5000],
        settings={"requests": {"max_answer_chars": 5000}},
    ),
    Fault("frames that are no JSON", times(1, fault="bad_frame", **WORDS), 1, "um dois"),
    Fault("a JSON body", times(1, fault="json_body", **WORDS), 1, "um dois"),
    Fault("OpenAI's shape", times(1, fault="openai_shape", **WORDS), 1, "um dois"),
    Fault("an HTML 502, once", ({"fault": "html_502"}, WORDS), 2, "um dois"),
    Fault("an HTML 502, always", times(4, fault="html_502"), 4, None, CUT, "HTTP 502"),
    Fault("500 three times", (*times(3, status=500), WORDS), 4, "um dois"),
    Fault("500 always", times(4, status=500), 4, None, litellm.InternalServerError, "HTTP 500"),
    Fault("429 twice", (*times(2, status=429, headers=SOON), WORDS), 3, "um dois"),
    Fault("429 always", times(4, status=429, headers=SOON), 4, None, litellm.RateLimitError, "try again in 1 s"),
    Fault("401 once", ({"status": 401}, WORDS), 2, "um dois"),
    Fault("401 always", times(2, status=401), 2, None, CUT, "refuses a fresh token"),
    Fault("no text", times(1, pieces=[]), 1, ""),
    Fault("a null message", times(1, fault="null_message"), 1, None, FILTERED, "content filter"),
    Fault("a content filter before the text", times(1, status=400, body=BLOCKED), 1, None, FILTERED, "content filter"),
    Fault("a content filter within it", times(1, fault="error_frame", body=BLOCKED, **WORDS), 1, "um"),
    Fault("a message that is too long", times(1, status=400, body=TOO_LONG), 1, None, LONG, "too long"),
    Fault("an error frame before the text, once", ({"fault": "error_frame", "after": 0}, WORDS), 2, "um dois"),
    Fault("an error frame before the text", times(4, fault="error_frame", after=0), 4, None, CUT, "INFERENCE_5000"),
    Fault("an error event before the text", times(4, fault="error_event", after=0), 4, None, CUT, "INFERENCE_5000"),
    Fault("an error as a JSON body of 200", times(4, status=200, body=ERROR), 4, None, CUT, "boom"),
    Fault("an error frame within it", times(1, fault="error_frame", **WORDS), 1, None, CUT, "INFERENCE_5000", "um"),
    Fault("an error event within it", times(1, fault="error_event", **WORDS), 1, None, CUT, "INFERENCE_5000", "um"),
    Fault(
        "a daily limit", times(1, status=429, body=DAILY), 1, None, litellm.RateLimitError, "1440 minutes is reached"
    ),
    Fault("no credit", times(1, status=429, body=CREDIT), 1, None, UNPAID, "no credit left"),
]


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long is waited between attempts is tested with the exchange."""
    monkeypatch.setattr("custom_handler.stackspot.agent_call.BACKOFF", 0.01)


def test_every_fault_of_the_simulator_is_in_the_table():
    assert {play["fault"] for fault in FAULTS for play in fault.plays if "fault" in play} == SIMULATED


def test_the_document_has_the_same_rows():
    rows = re.findall(r"^\| ([^|]+?) \|", TABLE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert rows == ["nobody listens", *(fault.id for fault in FAULTS), "the gateway's end at 120 seconds"]


def outcome(ask: Callable[..., Any], provider: Any, prompt: str, call: dict[str, Any]) -> Any:
    try:
        if call:
            provider.authenticate()  # which takes nothing of the timeout then
        return ask(provider, [{"role": "user", "content": prompt}], **call).content
    except Exception as error:  # noqa: BLE001  it is looked at by the test
        return error


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_has_the_same_outcome_in_all_four_methods(fault, entries, settings, simulator):
    patient = settings.changed(limits={"max_retries": 3}, **fault.settings)
    for name in entries:
        simulator.script(*({**play, "match": f"by {name}."} for play in fault.plays))
    call = {"timeout": fault.timeout} if fault.timeout else {}
    with ThreadPoolExecutor(len(entries)) as pool:  # each with a provider, and so a queue, of its own
        asked = {
            name: pool.submit(outcome, ask, StackspotLLM(patient), f"Asked by {name}.", call)
            for name, ask in entries.items()
        }
        outcomes = {name: future.result(60) for name, future in asked.items()}
    for name, given in outcomes.items():
        if fault.error is None:
            assert given == fault.answer, name
        else:
            assert type(given) is fault.error, (name, given)
            assert fault.says in str(given)
        assert len(simulator.requests("chat", f"by {name}.")) == fault.requests, name


async def read(stream: Any, heard: list[str]) -> None:
    async for chunk in stream:
        heard.append(chunk.choices[0].delta.content or "")  # noqa: PERF401  an error must not take it away


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.text_before], ids=lambda fault: fault.id)
async def test_text_before_a_fault_is_sent_and_the_error_follows(fault, settings, simulator, hello):
    call = {"timeout": fault.timeout} if fault.timeout else {}
    simulator.script(*fault.plays, *fault.plays)
    blocking, awaiting = [], []
    stream = StackspotLLM(settings).streaming("stackspot-chat", hello, **call)
    with pytest.raises(fault.error):
        blocking.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    with pytest.raises(fault.error):
        await read(StackspotLLM(settings).astreaming("stackspot-chat", hello, **call), awaiting)
    assert ("".join(blocking), "".join(awaiting)) == (fault.text_before, fault.text_before)


def test_an_unreachable_host_is_tried_four_times(ask, settings, hello):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
    provider, told = StackspotLLM(settings.changed(account={"inference_url": nowhere}, limits={"max_retries": 3})), []
    provider.hooks.add(lambda measure: told.append(type(measure).__name__))
    with pytest.raises(AWAY, match="cannot be reached"):
        ask(provider, hello)
    assert told.count("Retried") == 3


def test_every_request_to_the_agent_streams(ask, provider, simulator, hello):
    simulator.configure(gateway_timeout=0.2)
    simulator.script({**WORDS, "delay_first": 0.4})
    assert ask(provider, hello).content == "um dois"
