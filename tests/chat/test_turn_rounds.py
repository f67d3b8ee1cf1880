"""A turn of more than one question: the hidden repair round, and the prompt that was too long for the agent."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from custom_handler.chat.hidden_rounds import MIN_REPAIR_SECONDS
from custom_handler.chat.turn import Turn
from custom_handler.errors import (
    AgentFailed,
    AgentRejected,
    AgentTimeout,
    IdentityUnavailable,
    PromptTooLong,
    RateLimited,
    RequestError,
    StackspotError,
)
from custom_handler.events import Finish, ReplyEvent, Text, ToolCallArguments, ToolCallStart, Usage
from custom_handler.instrumentation import FirstText, PromptSent, Repaired, ToolCalled
from custom_handler.request.chat_request import ChatRequest, Tool
from custom_handler.request.parameters import Parameters
from custom_handler.settings import LimitSettings, RequestSettings, Settings
from custom_handler.stackspot.agent_call import AcquireSlot, AcquireToken, Emit, Read, ResponseHead, Send, advance
from custom_handler.stackspot.tokens import Token
from tests.support.clock import Clock

USER = {"role": "user", "content": "Olá"}
TOOLS = (Tool("get_weather", "", {"type": "object"}), Tool("search", "", {}))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CALL = 'FUNCTION_CALL_START\nget_weather\narguments: {"city": "Recife"}\nFUNCTION_CALL_END\n'
BROKEN = 'FUNCTION_CALL_START\nget_weather\narguments: {"valor": 10,50}\nFUNCTION_CALL_END\n'
TOO_LONG = {
    "code": "INFERENCE_6001_LLM_MODEL_BAD_REQUEST",
    "details": "Input tokens exceed the configured limit of 10000 tokens. Your messages resulted in 20000 tokens.",
}


def frame(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def say(text: str, output: int = 5, **fields: Any) -> list[bytes]:
    """One answer of the agent: its text, and its last frame."""
    return [
        frame(message=text),
        frame(**{"message": "", "stop_reason": "stop", "tokens": {"input": 40, "output": output}, **fields}),
    ]


@dataclass
class Agent:
    """Carries a turn's steps out; each round is one answer: a list of chunks, or a refusal, or an error at a step."""

    rounds: Sequence[Any]
    clock: Clock = field(default_factory=Clock)
    seconds: float = 0.0  # that each chunk takes
    prompts: list[str] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    batches: list[Sequence[ReplyEvent]] = field(default_factory=list)
    patience: list[float] = field(default_factory=list)  # for a place in the queue
    told: list[Any] = field(default_factory=list)
    reads: int = 0
    turn: dict[str, Any] = field(default_factory=dict)  # further fields of the turn
    asked: Turn | None = None

    def answer(
        self,
        *,
        tools: Sequence[Tool] = TOOLS,
        choice: str = "auto",
        settings: Settings | None = None,
        messages: Any = (USER,),
        timeout: float = 600,
        **parameters: Any,
    ) -> Agent:
        asked = ChatRequest(messages, tools, choice, Parameters(**parameters))
        settings = settings or Settings(limits=LimitSettings(max_retries=0))
        hook, clock = self.told.append, self.clock
        agent = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
        self.asked = Turn(asked, agent, "c-1", timeout, settings, hook=hook, clock=clock, **self.turn)
        steps = self.asked.steps()
        step = advance(steps, None)
        while step is not None:
            step = advance(steps, self.carry_out(step))
        return self

    def carry_out(self, step: Any) -> Any:
        match step:
            case AcquireToken():
                script = self.rounds[len(self.prompts)]
                return script if isinstance(script, IdentityUnavailable) else Token("t", 1200)
            case AcquireSlot(patience):
                self.patience.append(patience)
                return None
            case Send():
                script = self.rounds[len(self.prompts)]
                self.prompts.append(json.loads(step.content)["user_prompt"])
                self.timeouts.append(step.timeout)
                self.chunks = iter(script if isinstance(script, list) else ())
                if isinstance(script, dict):
                    return ResponseHead(400, {}, json.dumps(script).encode())
                return script if isinstance(script, StackspotError) else ResponseHead(200, {})
            case Read():
                self.reads += 1
                self.clock.now += self.seconds
                return next(self.chunks, None)
            case Emit(events):
                self.batches.append(events)
                return None

    @property
    def events(self) -> list[ReplyEvent]:
        return [event for batch in self.batches for event in batch]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def calls(self) -> list[tuple[str, Any]]:
        names = [event.name for event in self.events if isinstance(event, ToolCallStart)]
        arguments = [
            "".join(e.arguments for e in self.events if isinstance(e, ToolCallArguments) and e.index == index)
            for index in range(len(names))
        ]
        return [(name, json.loads(written)) for name, written in zip(names, arguments, strict=True)]

    @property
    def finish(self) -> Finish:
        *others, end = self.events
        assert not any(isinstance(event, Finish) for event in others)
        assert isinstance(end, Finish)
        return end

    def repairs(self) -> list[Repaired]:
        return [fact for fact in self.told if isinstance(fact, Repaired)]


@dataclass(frozen=True, slots=True)
class Fault:
    """A first answer with a fault, a second one that mends it, and what is delivered with and without the second."""

    id: str
    first: str
    second: str
    fault: str
    mended: tuple[str, list[tuple[str, Any]], str]
    unmended: tuple[str, list[tuple[str, Any]], str]
    asked: dict[str, Any] = field(default_factory=dict)


RECIFE = ("get_weather", {"city": "Recife"})
FAULTS = [
    Fault("a broken block", f"Um.\n{BROKEN}", CALL, "unreadable call", ("Um.\n", [RECIFE], "tool_calls"), (f"Um.\n{BROKEN}", [], "stop")),
    Fault("a broken block behind a good one", CALL + BROKEN, CALL.replace("Recife", "Natal"), "unreadable call",
          ("", [RECIFE, ("get_weather", {"city": "Natal"})], "tool_calls"), (BROKEN, [RECIFE], "tool_calls")),
    Fault("required", "Vou ver.", CALL, "missing call",
          ("Vou ver.", [RECIFE], "tool_calls"), ("Vou ver.", [], "stop"), {"choice": "required"}),
    Fault("another tool", CALL, CALL.replace("get_weather", "search"), "missing call",
          ("", [("search", {"city": "Recife"})], "tool_calls"), ("", [RECIFE], "tool_calls"), {"choice": "search"}),
    Fault("invalid JSON", '{"city": 7}', '```json\n{"city": "Recife"}\n```', "invalid JSON", ('{"city": "Recife"}', [], "stop"),
          ('{"city": 7}', [], "stop"), {"json_schema": SCHEMA, "tools": ()}),
]  # fmt: skip


def delivered(agent: Agent) -> tuple[str, list[tuple[str, Any]], str]:
    return agent.text.strip(), agent.calls, agent.finish.reason


def tidy(expected: tuple[str, list[tuple[str, Any]], str]) -> tuple[str, list[tuple[str, Any]], str]:
    return expected[0].strip(), *expected[1:]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.id)
def test_one_hidden_request_repairs_a_faulty_answer(case):
    agent = Agent([say(case.first), say(case.second, output=7)]).answer(**case.asked)
    assert delivered(agent) == tidy(case.mended)
    assert agent.finish.usage == Usage(80, 12, requests=2)
    assert agent.repairs() == [Repaired(case.fault, succeeded=True)]
    assert agent.prompts[1].startswith(f"{agent.prompts[0]}\n\n«assistant»\n{case.first}\n\n«correction»\n")


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.id)
def test_a_failed_repair_leaves_the_answer_unchanged(case):
    agent = Agent([say(case.first), say(case.first)]).answer(**case.asked)
    assert delivered(agent) == tidy(case.unmended)
    assert len(agent.prompts) == 2
    assert agent.finish.usage == Usage(80, 10, requests=2)
    assert agent.repairs() == [Repaired(case.fault, succeeded=False)]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.id)
def test_without_the_repair_round_the_answer_goes_out_as_it_is(case):
    agent = Agent([say(case.first)]).answer(settings=Settings(requests=RequestSettings(repair=False)), **case.asked)
    assert delivered(agent) == tidy(case.unmended)
    assert (len(agent.prompts), agent.finish.usage, agent.repairs()) == (1, Usage(40, 5), [])


TROUBLES = {
    "no connection": AgentFailed("broke"),
    "a limit": RateLimited("later"),
    "no token": IdentityUnavailable("no"),
    "a refusal": TOO_LONG,
    "an error within": [frame(message="FUNCTION"), frame(code="INFERENCE_5000", details="x")],
    "a break within": [frame(message="FUNCTION"), AgentFailed("broke")],
    "nothing": [],
    "nothing readable": [b"data: x\n\n"],
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.id)
def test_an_error_of_the_repair_round_is_not_returned(case, trouble):
    agent = Agent([say(case.first), trouble]).answer(**case.asked)
    assert delivered(agent) == tidy(case.unmended)
    assert agent.repairs() == [Repaired(case.fault, succeeded=False)]
    assert agent.finish.usage.prompt_tokens >= 40


def test_the_repair_round_is_one_call_without_retries():
    agent = Agent([say(BROKEN), AgentFailed("m", status_code=500), say(CALL)]).answer(
        settings=Settings(limits=LimitSettings(max_retries=3))
    )
    assert len(agent.prompts) == 2
    assert agent.patience == [60.0, 5.0]
    assert delivered(agent) == (BROKEN.strip(), [], "stop")


def test_a_message_without_text_sends_no_request():
    for content in ("", " \n", None):
        with pytest.raises(RequestError, match=r"^messages: the only message has no text") as raised:
            Agent([say("x")]).answer(tools=(), messages=[{"role": "user", "content": content}])
        assert raised.value.param == "messages"


def test_what_was_received_goes_out_before_the_repair_round():
    agent = Agent([say(f"Um.\n{CALL}{BROKEN}"), say(CALL.replace("Recife", "Natal"))])
    seen: list[int] = []
    carry_out = agent.carry_out

    def watched(step: Any) -> Any:
        if isinstance(step, Send):
            seen.append(len(agent.events))
        return carry_out(step)

    agent.carry_out = watched  # type: ignore[method-assign]
    agent.answer()
    assert seen[1] == 3
    assert all(agent.batches)


def test_text_of_the_second_answer_beside_its_calls_is_dropped():
    agent = Agent([say(BROKEN), say(f"Desculpe, corrigido:\n{CALL}Pronto.")]).answer()
    assert delivered(agent) == ("", [RECIFE], "tool_calls")


def test_there_is_one_repair_round_at_most():
    agent = Agent([say("Vou ver."), say(BROKEN)]).answer(choice="required")
    assert (len(agent.prompts), delivered(agent)) == (2, ("Vou ver.", [], "stop"))


def test_tool_calls_and_the_first_text_are_measured_once():
    agent = Agent([say(CALL + BROKEN), say(CALL.replace("get_weather", "search"))]).answer()
    assert [fact.name for fact in agent.told if isinstance(fact, ToolCalled)] == ["get_weather", "search"]
    assert [type(fact) for fact in agent.told].count(FirstText) == 1


def test_the_characters_of_each_prompt_are_measured():
    agent = Agent([say(BROKEN), say(CALL)]).answer()
    assert [fact.characters for fact in agent.told if isinstance(fact, PromptSent)] == list(map(len, agent.prompts))
    assert len(agent.prompts) == 2


@pytest.mark.parametrize("text", ["Olá", CALL, "{}"])
def test_an_answer_without_fault_is_asked_for_once(text):
    agent = Agent([say(text)]).answer(json_schema={} if text == "{}" else None)
    assert len(agent.prompts) == 1


@pytest.mark.parametrize("reason", ["length", "max_tokens"])
@pytest.mark.parametrize("case", FAULTS[:4:2] + FAULTS[4:], ids=lambda case: case.id)
def test_an_answer_cut_by_the_agents_limit_is_not_repaired(case, reason):
    first = case.first.removesuffix("FUNCTION_CALL_END\n")
    agent = Agent([say(first, stop_reason=reason)]).answer(**case.asked)
    assert (agent.text, agent.finish.reason, len(agent.prompts)) == (first, "length", 1)


def test_repaired_json_finishes_like_the_second_answer():
    empty = say("")
    agent = Agent([empty[1:], say('{"city": "Recife"}')]).answer(tools=(), json_schema=SCHEMA)
    assert delivered(agent) == ('{"city": "Recife"}', [], "stop")


def test_both_questions_share_one_time():
    agent = Agent([say(BROKEN), say(CALL)], seconds=10).answer(timeout=100)
    assert agent.timeouts == [100, 70]
    assert agent.calls == [RECIFE]


def test_a_repair_round_that_takes_too_long_is_given_up():
    clock = Clock()
    agent = Agent([say(BROKEN), [frame(message="x")] * 100], clock, seconds=10).answer(timeout=100)
    assert delivered(agent) == (BROKEN.strip(), [], "stop")
    assert clock.now <= 120


@pytest.mark.parametrize("left", [MIN_REPAIR_SECONDS, 0.0, -1.0])
def test_no_repair_round_begins_that_has_no_time(left):
    agent = Agent([say(BROKEN)], seconds=10).answer(timeout=30 + left)
    assert (len(agent.prompts), agent.text) == (1, BROKEN)


@pytest.mark.parametrize(
    ("parameters", "text", "reason"),
    [({"stop": ("STOP",)}, "um ", "stop"), ({"max_tokens": 1}, "um ST", "length")],
    ids=["stop", "max_tokens"],
)
def test_reading_stops_at_the_end_of_the_answer(parameters, text, reason):
    rounds = [[frame(message="um ST"), frame(message="OP dois"), frame(message="três"), *say("quatro")]]
    agent = Agent(rounds).answer(tools=(), **parameters)
    assert (agent.text, agent.finish.reason, agent.reads) == (text, reason, 2)
    assert agent.finish.usage.completion_tokens > 0


def test_the_estimate_does_not_exceed_the_limit():
    agent = Agent([[frame(message="x" * 100)]]).answer(tools=(), max_tokens=2)
    assert agent.finish == Finish("length", Usage(1, 2))


def test_of_a_stop_and_a_limit_in_one_piece_the_first_counts():
    agent = Agent([say("um STOP" + "x" * 100)]).answer(tools=(), stop=("STOP",), max_tokens=5)
    assert (agent.text, agent.finish.reason) == ("um ", "stop")


def test_a_second_call_is_dropped_if_one_is_allowed():
    agent = Agent([[frame(message=CALL), frame(message=CALL), frame(message=CALL), *say("x")]])
    agent.answer(parallel_tool_calls=False)
    assert (agent.calls, agent.finish.reason, agent.reads) == ([RECIFE], "tool_calls", 2)


HISTORY = [{"role": role, "content": f"{n} {'x' * 1000}"} for n in range(20) for role in ("user", "assistant")] + [
    {"role": "user", "content": "a última pergunta"}
]
IN_STREAM = [frame(message=""), frame(type="INFERENCE", **TOO_LONG)]


@pytest.mark.parametrize("overflow", [TOO_LONG, IN_STREAM], ids=["as a refusal", "within the answer"])
def test_a_too_long_prompt_is_shortened_by_the_agents_counts(overflow, caplog):
    caplog.set_level(logging.WARNING)
    agent = Agent([overflow, say("Olá")]).answer(messages=HISTORY)
    first, second = agent.prompts
    assert 0.40 * len(first) < len(second) <= 0.475 * len(first)
    assert "a última pergunta" in second
    assert "older messages are left out" in second
    assert (agent.text, agent.finish) == ("Olá", Finish("stop", Usage(40, 5)))
    assert str(len(second)) in caplog.text
    assert "última" not in caplog.text


@pytest.mark.parametrize("overflow", [TOO_LONG, IN_STREAM], ids=["as a refusal", "within the answer"])
def test_a_prompt_is_shortened_once_only(overflow):
    agent = Agent([overflow, overflow])
    with pytest.raises(PromptTooLong, match="20000 tokens"):
        agent.answer(messages=HISTORY)
    assert len(agent.prompts) == 2


def test_a_prompt_that_cannot_be_shortened_is_the_agents_error():
    agent = Agent([TOO_LONG])
    with pytest.raises(PromptTooLong, match="20000 tokens"):
        agent.answer(tools=())
    assert len(agent.prompts) == 1


@pytest.mark.parametrize(
    ("details", "share"),
    [
        (TOO_LONG["details"].replace("20000", "9000"), 0.8),
        ("prompt tokens (20000) exceed model maximum (16000)", 0.76),
        ("ValidationException: Input is too long for requested model.", 0.5),
    ],
    ids=["the answer counts", "another vendor", "no counts"],
)
def test_any_vendors_text_shortens_the_prompt_by_what_it_tells(details, share):
    agent = Agent([{"details": details}, say("Olá")]).answer(messages=HISTORY)
    first, second = map(len, agent.prompts)
    assert (share - 0.06) * first < second <= share * first
    assert agent.text == "Olá"


@pytest.mark.parametrize("details", ["too long", "ThrottlingException: Too many tokens, please wait"])
def test_another_refusal_shortens_nothing(details):
    agent = Agent([{**TOO_LONG, "details": details}])
    with pytest.raises(AgentRejected, match=details):
        agent.answer(messages=HISTORY)
    assert len(agent.prompts) == 1


def test_an_answer_that_has_begun_is_not_begun_again():
    agent = Agent([[frame(message="Era"), frame(type="INFERENCE", **TOO_LONG)]])
    with pytest.raises(PromptTooLong):
        agent.answer(messages=HISTORY)
    assert (agent.text, len(agent.prompts)) == ("Era", 1)


def test_a_shortened_prompt_is_repaired_like_any_other():
    agent = Agent([TOO_LONG, say(BROKEN), say(CALL)]).answer(messages=HISTORY)
    assert (agent.calls, agent.finish.usage) == ([RECIFE], Usage(80, 10, requests=2))
    assert agent.prompts[2].startswith(agent.prompts[1])


def test_the_setting_limits_the_prompt():
    agent = Agent([say("Olá")]).answer(
        messages=HISTORY, settings=Settings(requests=RequestSettings(max_prompt_chars=10_000))
    )
    assert len(agent.prompts[0]) <= 10_000
    with pytest.raises(PromptTooLong, match="STACKSPOT_MAX_PROMPT_CHARS"):
        Agent([]).answer(settings=Settings(requests=RequestSettings(max_prompt_chars=100)))


def test_an_invalid_schema_sends_no_request():
    with pytest.raises(RequestError, match="no JSON Schema"):
        Agent([]).answer(json_schema={"type": "nothing"})


def test_an_answer_that_is_too_late_is_still_an_error():
    with pytest.raises(AgentTimeout):
        Agent([[frame(message="x")] * 100], seconds=10).answer(timeout=100)


def cases() -> list[dict[str, Any]]:
    files = sorted((Path(__file__).parents[1] / "cases").glob("tool_calls*.jsonl"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").split("\n") if line]
    return [case for case in map(json.loads, lines) if not case.get("expand")]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_a_case_ends_for_the_reason_that_it_should(case):
    tools = [Tool(name, "", {}) for name in case["tools"]]
    script = say(case["text"], len(case["text"]), stop_reason=case.get("upstream_stop_reason", "stop"))
    agent = Agent([script]).answer(tools=tools, settings=Settings(requests=RequestSettings(repair=False)))
    expected = [case["expect"], *case.get("alt", [])]
    assert (agent.finish.reason, len(agent.calls)) in [(e["finish_reason"], len(e["tool_calls"])) for e in expected]


ANNOUNCEMENT = "O clima, claro. Vou consultar o clima agora."


def following_up(times: int) -> Settings:
    return Settings(requests=RequestSettings(follow_ups=times), limits=LimitSettings(max_retries=0))


def test_a_call_that_is_only_announced_is_asked_for():
    agent = Agent([say(ANNOUNCEMENT), say(CALL, output=7)]).answer(settings=following_up(1))
    assert (agent.text, agent.calls) == (ANNOUNCEMENT, [RECIFE])
    assert agent.finish == Finish("tool_calls", Usage(80, 12, requests=2))
    assert agent.repairs() == [Repaired("announced call", succeeded=True)]
    assert agent.prompts[1].startswith(f"{agent.prompts[0]}\n\n«assistant»\n{ANNOUNCEMENT}\n\n«correction»\n")


def test_the_text_is_sent_before_the_follow_up():
    agent = Agent([say(ANNOUNCEMENT), say(CALL)])
    agent.answer(settings=following_up(1))
    assert agent.batches[:2] == [[Text("O clima, claro. ")], [Text("Vou consultar o clima agora.")]]


def test_a_second_follow_up_needs_a_second_announcement():
    again = Agent([say(ANNOUNCEMENT), say("Já vou consultar."), say(CALL)]).answer(settings=following_up(2))
    assert (again.text, again.calls) == (ANNOUNCEMENT, [RECIFE])
    none = Agent([say(ANNOUNCEMENT), say("none")]).answer(settings=following_up(2))
    assert (none.text, none.calls, len(none.prompts)) == (ANNOUNCEMENT, [], 2)
    assert none.finish.reason == "stop"
    assert none.repairs() == [Repaired("announced call", succeeded=False)]


@pytest.mark.parametrize(
    "case",
    [
        {"settings": following_up(0)},
        {"tools": ()},
        {"messages": ({"role": "user", "content": "Explique, mas não execute nada."},)},
        {"messages": ({"role": "user", "content": "Eu mesmo consulto o clima."},)},
        {"json_schema": {}},
        {"max_tokens": 3},
        {"stop": ("agora",)},
    ],
    ids=str,
)
def test_a_follow_up_is_not_made_where_no_call_may_come(case: dict[str, Any]):
    schema_answer = "json_schema" in case
    agent = Agent([say(ANNOUNCEMENT), say('{"a": 1}' if schema_answer else CALL)])
    agent.answer(**{"settings": following_up(2), **case})
    assert not any(fact.fault == "announced call" for fact in agent.repairs())
    assert agent.calls == []


def test_an_answer_with_a_call_is_not_followed_up():
    agent = Agent([say(f"{CALL}{ANNOUNCEMENT}")]).answer(settings=following_up(2))
    assert len(agent.prompts) == 1


def test_a_turn_has_three_requests_at_most():
    """A failed repair counts, too."""
    rounds = [say(ANNOUNCEMENT)] * 5
    agent = Agent(rounds).answer(settings=following_up(2))
    assert len(agent.prompts) == 3
    demanded = Agent(rounds).answer(settings=following_up(2), choice="required")
    assert len(demanded.prompts) == 2
    assert demanded.text == ANNOUNCEMENT


@pytest.mark.parametrize("trouble", [AgentFailed("broke"), RateLimited("later"), [frame(code="INFERENCE_5000")], []])
def test_a_failed_follow_up_costs_the_client_nothing(trouble: Any):
    agent = Agent([say(ANNOUNCEMENT), trouble]).answer(settings=following_up(2))
    assert (agent.text, agent.calls, agent.finish.reason) == (ANNOUNCEMENT, [], "stop")
    assert len(agent.prompts) == 2


def test_without_time_there_is_no_follow_up():
    agent = Agent([say(ANNOUNCEMENT), say(CALL)], seconds=2.0)
    agent.answer(settings=following_up(1), timeout=MIN_REPAIR_SECONDS + 4)
    assert len(agent.prompts) == 1
