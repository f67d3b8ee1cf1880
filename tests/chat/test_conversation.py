"""Conversations that the platform keeps: the agent is told what it has not seen, and everything whenever that is in doubt."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from custom_handler import StackspotLLM
from custom_handler.errors import AgentForbidden, AgentNotFound, AgentRejected
from custom_handler.instrumentation import ConversationOutcome
from custom_handler.provider.litellm_call import turn_from_call
from custom_handler.settings import AccountSettings, Settings
from custom_handler.stackspot.agent_call import ResponseHead
from custom_handler.stackspot.tokens import Token

MODEL = "stackspot-chat"
SYSTEM = {"role": "system", "content": "Responda em uma frase. " + "Seja breve e exato. " * 200}


@pytest.fixture
def talk(provider: Any, ask_one_way: Callable[..., Any], weather: dict[str, Any]) -> Callable[..., Any]:
    """Ask within the conversation c-1 of key k-1, natively unless told otherwise."""

    def say(messages: Sequence[Any], key: str = "k-1", correlation: str | None = "c-1", **more: Any) -> Any:
        return ask_one_way(provider, list(messages), **call(key, correlation, **{**weather["optional_params"], **more}))

    return say


@pytest.fixture
def ask_one_way(request: pytest.FixtureRequest, entries: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    """One of the ways to ask; a whole answer on a thread unless a test says more."""
    return entries[getattr(request, "param", "completion")]


ALL = pytest.mark.parametrize("ask_one_way", ["completion", "acompletion", "streaming", "astreaming"], indirect=True)
WHOLE = pytest.mark.parametrize("ask_one_way", ["completion", "acompletion"], indirect=True)


def call(
    key: str = "k-1", correlation: str | None = "c-1", native: bool = True, info: Any = None, **params: Any
) -> dict[str, Any]:
    """What LiteLLM hands over for a call of that caller."""
    return {
        "optional_params": params,
        "headers": {"correlation-id": correlation} if correlation else {},
        "litellm_params": {
            "metadata": {"user_api_key": key},
            "model_info": info or ({"conversation": "native"} if native else {}),
        },
    }


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def replayed(answer: Any, number: int = 0, **more: Any) -> dict[str, Any]:
    """The assistant's message as a client sends it back."""
    calls = [
        {"id": f"call_{number}_{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for at, (name, arguments) in enumerate(answer.calls)
    ]
    return {"role": "assistant", "content": answer.content or None, **({"tool_calls": calls} if calls else {}), **more}


def results(answer: Any, text: str, number: int = 0) -> list[dict[str, Any]]:
    return [{"role": "tool", "tool_call_id": f"call_{number}_{at}", "content": text} for at in range(len(answer.calls))]


def sent(simulator: Any) -> list[tuple[str | None, int]]:
    """The conversation and the number of characters of each question that reached the agent."""
    asked = simulator.requests("chat")
    return [((record["body"] or {}).get("conversation_id"), record["characters"]) for record in asked]


def begun(simulator: Any) -> tuple[bool, bool]:
    """Of the last two questions: whether the second one is in another conversation, and whether it tells everything."""
    (first, _), (second, _) = sent(simulator)[-2:]
    return second != first, SYSTEM["content"] in simulator.requests("chat")[-1]["prompt"]


FIRST = [SYSTEM, user("Como está o tempo em Recife?")]


def tool_loop(talk: Callable[..., Any], steps: int, **more: Any) -> list[Any]:
    """A loop in which each result leads to another call; the answers of all turns."""
    messages, answers = [SYSTEM, user("Como está o tempo em Recife?")], []
    for number in range(steps):
        answers.append(talk(messages, **more))
        text = json.dumps({"passo": number, "tempo": "chuva fraca com sol " * 20})
        messages += [replayed(answers[-1], number), *results(answers[-1], text, number)]
        if not answers[-1].calls:
            messages.append(user(f"Como está o tempo em Olinda, passo {number}?"))
    return answers


def told(answers: Sequence[Any]) -> list[Any]:
    return [(answer.content, answer.calls, answer.finish) for answer in answers]


@ALL
def test_a_native_tool_loop_sends_far_fewer_characters(talk, simulator):
    natively = told(tool_loop(talk, 20))
    native = sent(simulator)
    simulator.reset()
    assert natively == told(tool_loop(talk, 20, native=False))
    plain = sent(simulator)
    assert len(native) == len(plain) == 20
    assert len({conversation for conversation, _ in native}) == 1
    assert {conversation for conversation, _ in plain} == {None}
    assert sum(size for _, size in native) < 0.2 * sum(size for _, size in plain)
    assert any(answer[1] for answer in natively)
    assert any("passo" in answer[0] for answer in natively)


@pytest.fixture
def second(talk, simulator) -> Callable[..., tuple[Any, bool, bool]]:
    """Ask, change what the client knows, and ask again: the answer, whether in a new conversation, whether all was told."""

    def ask(change: Callable[[list[Any], dict[str, Any]], None] = lambda *_: None) -> tuple[Any, bool, bool]:
        answer = talk(FIRST)
        messages: list[Any] = [*FIRST, replayed(answer), *results(answer, '{"tempo": "chuva"}')]
        more: dict[str, Any] = {}
        change(messages, more)
        return talk(messages, **more), *begun(simulator)

    return ask


@pytest.mark.parametrize("what", ["no correlation id", "a model that is not native"])
def test_without_correlation_id_or_setting_all_turns_are_sent(talk, simulator, what):
    more = {"correlation": None} if what == "no correlation id" else {"native": False}
    answer = talk(FIRST, **more)
    talk([*FIRST, replayed(answer), *results(answer, "chuva")], **more)
    for record in simulator.requests("chat"):
        assert "use_conversation" not in record["body"]
        assert SYSTEM["content"] in record["prompt"]


def test_an_answer_that_the_client_began_is_no_conversation(talk, simulator):
    answer = talk(FIRST)
    talk([*FIRST, replayed(answer), *results(answer, "chuva"), {"role": "assistant", "content": "Segundo"}])
    assert "use_conversation" not in simulator.requests("chat")[-1]["body"]
    talk([*FIRST, replayed(answer), *results(answer, "chuva")])
    assert sent(simulator)[-1][0] == sent(simulator)[0][0]  # which is as it was


@ALL
def test_two_that_go_on_at_one_point_do_not_meet(talk, simulator):
    answer = talk(FIRST)
    both = [[*FIRST, replayed(answer), *results(answer, text)] for text in ("chuva", "sol")]
    further = [talk(messages) for messages in both]
    first, second, third = (conversation for conversation, _ in sent(simulator))
    assert first == second != third
    for messages, said in zip(both, further, strict=True):
        talk([*messages, replayed(said), user("Olá")])
    assert [conversation for conversation, _ in sent(simulator)[3:]] == [second, third]


def test_at_the_same_time_only_one_goes_on(provider, simulator, weather):
    answer_of = provider.completion(MODEL, FIRST, **call(**weather["optional_params"]))
    said = answer_of.choices[0].message.model_dump()
    messages = [*FIRST, said, {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "chuva"}]

    async def together() -> list[Any]:
        calls = [provider.acompletion(MODEL, messages, **call(**weather["optional_params"])) for _ in range(5)]
        return await asyncio.gather(*calls)

    answers = {answer.choices[0].message.content for answer in asyncio.run(together())}
    assert len(answers) == 1
    conversations = [conversation for conversation, _ in sent(simulator)]
    assert len(set(conversations)) == 5
    assert conversations[1:].count(conversations[0]) == 1


def lose(simulator: Any, loss: str) -> Callable[..., None]:
    def change(*_: Any) -> None:
        simulator.configure(lost_conversation=loss)
        simulator.forget_conversations()

    return change


@ALL
def test_a_rejected_conversation_restarts_within_the_turn(second, simulator):
    answer, new, everything = second(lose(simulator, "refused"))
    assert (new, everything) == (True, True)
    assert "chuva" in answer.content
    assert len(sent(simulator)) == 3


@WHOLE
def test_a_whole_answer_in_another_conversation_is_requested_again(second, simulator):
    answer, new, everything = second(lose(simulator, "new"))
    assert (new, everything) == (True, True)
    assert "get_weather" in answer.content  # whose name only the first turns tell
    assert len(sent(simulator)) == 3


@ALL
def test_another_id_in_the_first_frame_restarts_the_conversation(second, simulator):
    def rename(*_: Any) -> None:
        simulator.script(
            {"frames": [{"message": "", "conversation_id": "01K00000000000000000000009"}, {"message": "?"}]}
        )

    answer, new, everything = second(rename)
    assert (new, everything) == (True, True)
    assert "chuva" in answer.content


def test_after_a_loss_found_too_late_the_next_turn_sends_all_turns(provider, entries, simulator, weather, caplog):
    ask, params = entries["streaming"], weather["optional_params"]
    answer = ask(provider, FIRST, **call(**params))
    simulator.forget_conversations()
    simulator.script({"pieces": ["Não ", "sei."], "cadence": 0.02})
    messages = [*FIRST, replayed(answer), *results(answer, "chuva")]
    lost = ask(provider, messages, **call(**params))
    assert lost.content == "Não sei."
    assert "no longer had the conversation" in caplog.text
    ask(provider, [*messages, replayed(lost), user("Olá")], **call(**params))
    assert begun(simulator) == (True, True)


def test_a_restarted_conversation_continues(talk, simulator):
    simulator.configure(lost_conversation="refused")
    answer = talk(FIRST)
    simulator.forget_conversations()
    messages = [*FIRST, replayed(answer), *results(answer, "chuva")]
    told_anew = talk(messages)
    talk([*messages, replayed(told_anew), user("Obrigado")])
    assert begun(simulator) == (False, False)


UNCLEAR: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an error within the answer": ({"text": "um dois três", "fault": "error_frame", "after": 2}, {}),
    "a connection that breaks": ({"text": "um dois três", "fault": "close_within", "after": 2}, {}),
    "an answer without its last frame": ({"text": "um dois", "omit_final": True}, {}),
    "an answer that names no conversation": ({"text": "um dois", "final": {"conversation_id": None}}, {}),
    "a stop sequence": ({"text": "um dois três"}, {"stop": ["dois"]}),
    "a limit of the client's": ({"text": "um dois três " * 9}, {"max_tokens": 2}),
    "a limit of the agent's": ({"text": "um dois", "stop_reason": "length"}, {}),
    "no answer at all": ({"text": ""}, {}),
    "results that the agent invents": ({"text": "{block}\n[tool result]\n28 graus\n"}, {}),
}


@pytest.mark.parametrize("what", UNCLEAR)
def test_after_an_unclear_answer_all_turns_are_sent(talk, simulator, block, what):
    play, more = UNCLEAR[what]
    text = play.get("text", "").replace("{block}", block(city="Recife"))
    simulator.script({**play, "text": text})
    said = {"role": "assistant", "content": text.split("dois")[0]}
    with contextlib.suppress(Exception):
        said = replayed(talk(FIRST, **more))
    answered = results(type("", (), {"calls": said.get("tool_calls", ())})(), "chuva")
    talk([*FIRST, said, *answered, user("E agora?")])
    assert begun(simulator) == (True, True)


def test_after_a_repair_all_turns_are_sent(talk, simulator, block):
    simulator.script({"text": block().replace("{}", '{"city": 1,5}')}, {"text": block(city="Recife")})
    answer = talk(FIRST)
    assert answer.calls
    first, repair = simulator.requests("chat")
    assert first["body"]["use_conversation"]
    assert "use_conversation" not in repair["body"]
    talk([*FIRST, replayed(answer), *results(answer, "chuva")])
    assert begun(simulator) == (True, True)


def test_a_repair_in_a_conversation_sends_all_turns(second, simulator, block):
    def spoil(*_: Any) -> None:
        simulator.script({"text": block().replace("{}", '{"city": 1,5}')}, {"text": block(city="Natal")})

    answer, *_ = second(spoil)
    assert answer.calls == (("get_weather", '{"city":"Natal"}'),)
    repair = simulator.requests("chat")[-1]["prompt"]
    assert SYSTEM["content"] in repair
    assert "«correction»" in repair


def test_after_a_retry_all_turns_are_sent(settings, ask_one_way, simulator):
    provider = StackspotLLM(settings.changed(limits={"max_retries": 1}))
    simulator.script({"status": 502})
    answer = ask_one_way(provider, FIRST, **call())
    first, again = simulator.requests("chat")
    assert first["body"] == again["body"]
    ask_one_way(provider, [*FIRST, replayed(answer), user("E agora?")], **call())
    assert begun(simulator) == (True, True)


def test_a_conversation_too_long_for_the_model_restarts_shortened(talk, simulator):
    messages, answer = [*FIRST], talk(FIRST)
    simulator.configure(token_limit=2500)
    for number in range(4):
        messages += [replayed(answer, number), *results(answer, "chuva " * 500, number)]
        if not answer.calls:
            messages.append(user("Como está o tempo em Olinda?"))
        answer = talk(messages)
    assert len({conversation for conversation, _ in sent(simulator)}) > 1
    assert any(record["status"] == 400 for record in simulator.requests("chat"))
    assert answer.finish in {"stop", "tool_calls"}


def test_new_turns_that_are_too_long_lose_their_middle(settings, ask_one_way, simulator, weather):
    provider = StackspotLLM(settings.changed(requests={"max_prompt_chars": 8000}))
    answer = ask_one_way(provider, FIRST, **call(**weather["optional_params"]))
    messages = [*FIRST, replayed(answer), *results(answer, "chuva " * 5000)]
    ask_one_way(provider, messages, **call(**weather["optional_params"]))
    prompt = simulator.requests("chat")[-1]["prompt"]
    assert len(prompt) <= 8000
    assert "characters left out" in prompt
    assert begun(simulator) == (False, False)


def test_a_conversation_of_long_ago_begins_anew(settings, ask_one_way, simulator):
    provider = StackspotLLM(settings.changed(requests={"conversation_keep": 1e-6}))
    answer = ask_one_way(provider, FIRST, **call())
    ask_one_way(provider, [*FIRST, replayed(answer), user("E agora?")], **call())
    assert begun(simulator) == (True, True)


def test_another_agent_does_not_know_the_conversation(provider, ask_one_way, simulator):
    answer = ask_one_way(provider, FIRST, **call())
    other = call()
    other["litellm_params"]["model_info"]["agent_id"] = "01K00000000000000000000000"
    ask_one_way(provider, [*FIRST, replayed(answer), user("E agora?")], **other)
    assert begun(simulator) == (True, True)


def test_an_answer_that_its_client_leaves_is_in_doubt(provider, simulator):
    simulator.script({"pieces": ["um ", "dois ", "três"], "cadence": 0.05})
    stream = provider.streaming(MODEL, FIRST, **call())
    next(stream)
    stream.close()
    provider.completion(MODEL, [*FIRST, {"role": "assistant", "content": "um dois três"}, user("E agora?")], **call())
    assert begun(simulator) == (True, True)


def test_an_answer_that_its_async_client_leaves_is_in_doubt(provider, simulator):
    simulator.script({"pieces": ["um ", "dois ", "três"], "cadence": 0.05})

    async def leave() -> None:
        stream = provider.astreaming(MODEL, FIRST, **call())
        await anext(stream)
        await stream.aclose()

    asyncio.run(leave())
    provider.completion(MODEL, [*FIRST, {"role": "assistant", "content": "um dois três"}, user("E agora?")], **call())
    assert begun(simulator) == (True, True)


def test_a_new_conversation_uses_the_platforms_id(talk, simulator):
    named = "01K00000000000000000000009"
    simulator.script({"text": "um dois", "final": {"conversation_id": named}})
    answer = talk(FIRST)
    talk([*FIRST, replayed(answer), user("E agora?")])
    assert sent(simulator)[-1][0] == named


def test_a_conversation_is_saved_before_the_finish_is_emitted():
    params = {"optional_params": {}, **call()}
    steps = turn_from_call(
        MODEL, FIRST, params, Settings(account=AccountSettings(agent_id="01ARZ3NDEKTSV4RRFFQ69G5FAV"))
    ).steps()
    frame = {"message": "Oi.", "stop_reason": "stop", "conversation_id": "01K00000000000000000000009"}
    answers = {"AcquireToken": Token("t", 1200), "Send": ResponseHead(200, {})}
    reads = iter([b"data: " + json.dumps(frame).encode() + b"\n\n", None])
    done, given = [], None
    with contextlib.suppress(StopIteration):
        while True:
            step = steps.send(given)
            done.append(step)
            kind = type(step).__name__
            given = next(reads) if kind == "Read" else answers.get(kind)
    assert [type(step).__name__ for step in done] == [
        *("AcquireToken", "AcquireSlot", "Send", "Read", "Emit", "Read", "SaveConversation", "Emit")
    ]
    assert done[-2].conversation_id == "01K00000000000000000000009"


@ALL
@pytest.mark.parametrize("status", [400, 403, 404, 410, 422])
def test_every_rejection_restarts_a_conversation(second, simulator, status):
    answer, new, everything = second(lambda *_: simulator.script({"status": status}))
    assert (new, everything) == (True, True)
    assert "chuva" in answer.content


@pytest.mark.parametrize("error", [None, AgentRejected("no"), AgentForbidden("no"), AgentNotFound("no")])
def test_a_repeated_rejection_is_returned_unchanged(talk, simulator, error):
    answer = talk(FIRST)
    status = 500 if error is None else error.status_code
    simulator.script({"status": status, "times": "always"})
    before = len(sent(simulator))
    with pytest.raises(Exception, match="agent") as raised:
        talk([*FIRST, replayed(answer), *results(answer, "chuva")])
    assert raised.value.status_code == status  # type: ignore[attr-defined]
    assert len(sent(simulator)) - before == (1 if error is None else 2)


def test_outcomes_of_conversations_are_measured(provider, talk, simulator):
    told: list[Any] = []
    provider.hooks.add(told.append)
    simulator.configure(lost_conversation="refused")
    messages = list(FIRST)
    for number in range(3):
        answer = talk(messages)
        messages += [replayed(answer, number), *results(answer, "chuva", number), user("Como está o tempo em Olinda?")]
        if number == 1:
            simulator.forget_conversations()
    outcomes = [measure.outcome for measure in told if isinstance(measure, ConversationOutcome)]
    assert outcomes == ["begun", "continued", "continued", "lost"]


REFUSALS = {
    "too many requests": [{"status": 429, "headers": {"Retry-After": "1"}}],
    "no credit": [{"status": 429, "body": "Credit Limit Reached"}],
    "a token that is refused twice": [{"status": 401}, {"status": 401}],
}


@pytest.mark.parametrize("plays", REFUSALS.values(), ids=REFUSALS)
@ALL
def test_an_unprocessed_turn_is_sent_again_in_its_conversation(talk, simulator, plays):
    answer = talk(FIRST)
    messages = [*FIRST, replayed(answer), *results(answer, "chuva")]
    simulator.script(*plays)
    with pytest.raises(Exception, match="litellm"):
        talk(messages)
    assert "chuva" in talk(messages).content
    assert begun(simulator) == (False, False)


def test_a_turn_that_may_be_processed_leaves_its_conversation(settings, ask_one_way, simulator):
    provider = StackspotLLM(settings.changed(limits={"max_retries": 1}))
    answer = ask_one_way(provider, FIRST, **call())
    messages = [*FIRST, replayed(answer), user("E agora?")]
    simulator.script({"status": 502}, {"status": 429, "headers": {"Retry-After": "1"}})
    with pytest.raises(Exception, match="used up"):
        ask_one_way(provider, messages, **call())
    ask_one_way(provider, messages, **call())
    assert begun(simulator) == (True, True)


def test_a_conversation_with_uploads_is_sent_in_its_prompts(settings, ask_one_way, simulator):
    provider = StackspotLLM(settings.changed(uploads={"enabled": True}))
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png}"}}
    first = [SYSTEM, user([{"type": "text", "text": "O que há aqui?"}, image])]
    answer = ask_one_way(provider, first, **call())
    ask_one_way(provider, [*first, replayed(answer), user("E agora?")], **call())
    for record in simulator.requests("chat"):
        assert "use_conversation" not in record["body"]
        assert len(record["body"]["upload_ids"]) == 1
        assert SYSTEM["content"] in record["prompt"]


@ALL
@pytest.mark.parametrize("turn", [1, 2])
def test_a_turn_that_broke_off_goes_on_without_the_conversation_and_the_next_one_sends_all(talk, simulator, turn):
    """The rest is asked for with all turns: whether the platform keeps a broken answer is not documented."""
    messages: list[Any] = [SYSTEM, user("Oi"), {"role": "assistant", "content": "Bom dia."}, user("Conte.")]
    info = {"conversation": "native", "resume_streams": True}
    simulator.script(
        {"text": "Bom dia."}, {"text": "um dois três", "fault": "close_within", "after": 2}, {"text": " três"}
    )
    if turn == 2:
        talk(messages[:2], info=info)
    else:
        simulator.reset()
        simulator.script({"text": "um dois três", "fault": "close_within", "after": 2}, {"text": " três"})
    answer = talk(messages, info=info)
    assert answer.content == "um dois três"
    broken, rest = simulator.requests("chat")[-2:]
    assert "use_conversation" in broken["body"]
    assert "use_conversation" not in rest["body"]
    assert SYSTEM["content"] in rest["prompt"]
    assert (SYSTEM["content"] in broken["prompt"]) is (turn == 1)
    talk([*messages, replayed(answer), user("Mais?")], info=info)
    last = simulator.requests("chat")[-1]
    assert last["body"]["conversation_id"] != broken["body"]["conversation_id"]
    assert SYSTEM["content"] in last["prompt"]
