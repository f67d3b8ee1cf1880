"""A reply that breaks off after its first text, and the one hidden request that continues it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from custom_handler.chat.end_markers import MAX_AGENTS, EndMarkers
from custom_handler.chat.hidden_rounds import MIN_REPAIR_SECONDS
from custom_handler.emulation.labels import COMPLETE
from custom_handler.errors import AgentFailed, AgentTimeout, RateLimited, StackspotError
from custom_handler.events import Finish, Source, Sources, Usage
from custom_handler.instrumentation import FirstText, Repaired, Resumed
from custom_handler.settings import LimitSettings, Settings
from custom_handler.stackspot.knowledge import Knowledge
from tests.chat.test_turn_rounds import BROKEN, CALL, SCHEMA, Agent, frame, say

TEXT = "Olá, 👩‍💻! O estorno leva três dias úteis.\n\n- Peça-o no portal.\n- Guarde o «recibo»."
BREAK = AgentFailed("The connection to the agent broke within its answer (X): try again.")
AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def broken(text: str, error: StackspotError = BREAK) -> list[Any]:
    return [frame(message=text), error]


def resuming(*rounds: Any, seconds: float = 0.0, known: bool = False, **turn: Any) -> Agent:
    """An agent, asked with `resume_streams`; `known`: it has ended a reply before."""
    ends = EndMarkers()
    if known:
        ends.note(AGENT)
    return Agent(rounds, seconds=seconds, turn={"resume_streams": True, "ends": ends, **turn})


def outcomes(agent: Agent) -> Sequence[str]:
    return [fact.outcome for fact in agent.told if isinstance(fact, Resumed)]


@pytest.mark.parametrize("tools", [False, True], ids=["text", "with tools"])
@pytest.mark.parametrize("manner", ["exact", "anew"])
def test_an_answer_goes_on_wherever_it_broke_off(manner: str, tools: bool) -> None:
    for cut in range(1, len(TEXT)):
        agent = resuming(broken(TEXT[:cut]), say(TEXT[cut:] if manner == "exact" else TEXT))
        try:
            agent.answer(**({} if tools else {"tools": ()}))
        except AgentFailed:
            assert tools, "only a call that may have begun ends with the error"
            assert TEXT[cut - 1] in "`«" or "\n" in TEXT[cut - 2 : cut]
            assert outcomes(agent) == ["not_tried"]
            continue
        assert agent.text == TEXT
        assert agent.finish.reason == "stop"
        assert outcomes(agent) == ["succeeded"]
        assert agent.prompts[1].startswith(f"{agent.prompts[0]}\n\n«assistant»\n")
        assert agent.prompts[1].count("«reminder»\nThe assistant's last message broke off. Continue it exactly") == 1


def test_a_frame_cut_at_any_byte_is_continued() -> None:
    frames = b"".join(frame(message=piece) for piece in ("Olá ", "👩‍💻 ", "três"))
    for cut in range(len(frame(message="Olá ")), len(frames)):
        said = "".join(json.loads(line[6:])["message"] for line in frames[:cut].split(b"\n\n")[:-1])
        agent = resuming([frames[:cut], BREAK], say("Olá 👩‍💻 três dias"[len(said) :])).answer(tools=())
        assert agent.text == "Olá 👩‍💻 três dias"


def test_both_replies_are_counted() -> None:
    agent = resuming(broken("x" * 40), say("y" * 8, output=7)).answer(tools=())
    first = -(-len(agent.prompts[0]) // 4)
    assert agent.finish == Finish("stop", Usage(first + 40, 10 + 7, requests=2))
    assert [type(fact) for fact in agent.told].count(FirstText) == 1
    assert agent.patience == [60.0, 5.0]


@pytest.mark.parametrize(
    "error", [BREAK, AgentTimeout("The agent sent nothing for 60 s."), AgentFailed("HTTP 503", status_code=503)]
)
def test_every_break_is_continued(error: StackspotError) -> None:
    assert resuming(broken("Um ", error), say("dois")).answer(tools=()).text == "Um dois"


def test_an_error_of_the_agent_within_the_answer_is_a_break() -> None:
    agent = resuming([frame(message="Um "), frame(code="INFERENCE_5000", details="x")], say("dois")).answer(tools=())
    assert agent.text == "Um dois"


@pytest.mark.parametrize("error", [RateLimited("later"), StackspotError("no break")])
def test_another_error_is_none(error: StackspotError) -> None:
    agent = resuming(broken("Um ", error))
    with pytest.raises(type(error)):
        agent.answer(tools=())
    assert (len(agent.prompts), outcomes(agent)) == (1, ["not_tried"])


def test_without_the_option_nothing_changes() -> None:
    agent = Agent([broken("Um ")])
    with pytest.raises(AgentFailed):
        agent.answer(tools=())
    assert (agent.text, len(agent.prompts), outcomes(agent)) == ("Um ", 1, [])


SECOND = {
    "no connection": BREAK,
    "a limit": RateLimited("later"),
    "a refusal": {"code": "X_1", "details": "no"},
    "another break": broken("dois ", AgentTimeout("again")),
    "nothing": say(""),
    "a new answer": say("Era uma vez um agente que respondia outra coisa, e ninguém sabia por quê."),
}


@pytest.mark.parametrize("second", SECOND.values(), ids=SECOND)
def test_a_second_break_ends_with_the_error_of_the_first(second: Any) -> None:
    start = "Era uma vez um agente que respondia a tudo. "
    agent = resuming(broken(start), second)
    with pytest.raises(AgentFailed) as raised:
        agent.answer(tools=())
    assert raised.value is BREAK
    assert agent.text in {start, f"{start}dois "}
    assert (len(agent.prompts), outcomes(agent)) == (2, ["failed"])


@pytest.mark.parametrize(
    "said", [CALL, "FUNCTION_CALL_START\nget_w", BROKEN, "Vou ver.\nFUNC", '{"name": "get_weather"']
)
def test_a_call_in_flight_ends_with_the_error(said: str) -> None:
    agent = resuming(broken(said))
    with pytest.raises(AgentFailed):
        agent.answer()
    assert (len(agent.prompts), outcomes(agent)) == (1, ["not_tried"])


def test_a_call_may_follow_in_the_rest() -> None:
    agent = resuming(broken("Vou ver o tempo. "), say(f"Um instante.\n{CALL}")).answer()
    assert agent.calls == [("get_weather", {"city": "Recife"})]
    assert (agent.text.strip(), agent.finish.reason) == ("Vou ver o tempo. Um instante.", "tool_calls")


@pytest.mark.parametrize("second", ['"Recife"}', '{"city": "Recife"}', '```json\n{\n  "city": "Recife"\n}\n```'])
def test_json_goes_on_before_it_is_read(second: str) -> None:
    agent = resuming(broken('{"city": '), say(second)).answer(tools=(), json_schema=SCHEMA)
    assert (json.loads(agent.text), agent.finish.reason) == ({"city": "Recife"}, "stop")
    assert not agent.repairs()


def test_json_that_was_joined_badly_is_repaired() -> None:
    rounds = broken('{"city": "Re'), say('"Recife"}'), say('{"city": "Recife"}')
    agent = resuming(*rounds).answer(tools=(), json_schema=SCHEMA)
    assert (agent.text, agent.finish.usage.requests) == ('{"city": "Recife"}', 3)
    assert agent.repairs() == [Repaired("invalid JSON", succeeded=True)]


def test_limits_and_stops_hold_for_both_replies() -> None:
    agent = resuming(broken("um dois ST"), say("OP três")).answer(tools=(), stop=("STOP",))
    assert (agent.text, agent.finish.reason) == ("um dois ", "stop")
    agent = resuming(broken("a" * 8), say("b" * 8)).answer(tools=(), max_tokens=2)
    assert (agent.text, agent.finish.reason) == ("a" * 8 + "b" * 2, "length")


def test_sources_of_both_replies_are_shown() -> None:
    knowledge = Knowledge(own=True, sources="annotations")
    first = [frame(message="Um ", source=[{"id": "01KA", "name": "A"}]), BREAK]
    second = say("dois", source=[{"id": "01KA", "name": "A"}, {"id": "01KB", "name": "B"}])
    agent = resuming(first, second, knowledge=knowledge).answer(tools=())
    [shown] = [event for event in agent.events if isinstance(event, Sources)]
    assert shown.sources == (Source("A", id="01KA"), Source("B", id="01KB"))


@pytest.mark.parametrize("left", [MIN_REPAIR_SECONDS, 0.0])
def test_there_is_no_request_without_time(left: float) -> None:
    agent = resuming(broken("Um "), seconds=10)
    with pytest.raises(AgentFailed):
        agent.answer(tools=(), timeout=20 + left)
    assert (len(agent.prompts), outcomes(agent)) == (1, ["not_tried"])


def test_a_continued_answer_is_not_stored() -> None:
    agent = resuming(broken("Um "), say("dois")).answer(tools=())
    assert agent.asked is not None
    assert not agent.asked.is_reusable


CUT = [frame(message="Um dois ")]


def test_an_end_without_its_frame_is_a_break_of_an_agent_that_sends_one() -> None:
    agent = resuming(CUT, say("três"), known=True).answer(tools=())
    assert (agent.text, outcomes(agent)) == ("Um dois três", ["succeeded"])
    agent = resuming(CUT, say(COMPLETE), known=True).answer(tools=())
    assert (agent.text, agent.finish.reason, outcomes(agent)) == ("Um dois ", "stop", ["succeeded"])


def test_an_agent_without_end_frames_is_asked_once() -> None:
    agent = resuming(CUT).answer(tools=())
    assert (agent.text, len(agent.prompts), outcomes(agent)) == ("Um dois ", 1, [])
    for last in (b"data: [DONE]\n\n", b"event: end_event\ndata: {}\n\n"):
        assert len(resuming([*CUT, last], known=True).answer(tools=()).prompts) == 1


@pytest.mark.parametrize("second", [BREAK, RateLimited("later"), say("")], ids=["break", "limit", "nothing"])
def test_an_end_without_its_frame_remains_an_answer(second: Any) -> None:
    agent = resuming(CUT, second, known=True).answer(tools=())
    assert (agent.text, agent.finish.reason, outcomes(agent)) == ("Um dois ", "stop", ["failed"])
    assert agent.finish.usage.requests <= 2


def test_the_first_end_is_noted() -> None:
    agent = resuming(say("Um")).answer(tools=())
    assert agent.turn["ends"].sends(AGENT)
    ends = EndMarkers()
    for number in range(MAX_AGENTS + 1):
        ends.note(str(number))
    assert (ends.sends("0"), ends.sends("1")) == (False, True)


def test_a_retry_before_the_text_does_not_count() -> None:
    settings = Settings(limits=LimitSettings(max_retries=1))
    agent = resuming([BREAK], broken("Um "), say("dois")).answer(tools=(), settings=settings)
    assert (agent.text, len(agent.prompts)) == ("Um dois", 3)
