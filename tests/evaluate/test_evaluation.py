"""The evaluation: what counts as right, what is asked again, and what a reader of the page sees."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from custom_handler.emulation.prompt.render import render, resume_prompt
from custom_handler.errors import ConfigurationError
from custom_handler.evaluate import Contender, ResultFile, built_in_tasks, contenders, page, read_tasks, run, summarize
from custom_handler.evaluate.page import cells
from custom_handler.evaluate.rehearsal import ideal_reply, replies, sample
from custom_handler.evaluate.results import Result
from custom_handler.evaluate.runner import Reply
from custom_handler.evaluate.task import ExpectedCall, Task
from custom_handler.request.chat_request import ChatRequest

M = Contender("m")
USER = [{"role": "user", "content": "go"}]
WEATHER = ExpectedCall("get_weather", {"city": "Recife"}, "31 °C")
TIME = ExpectedCall("get_time", {"city": "Recife"})
TOOLS = [{"name": name, "parameters": {"type": "object"}} for name in ("get_weather", "get_time", "note")]

each_task = pytest.mark.parametrize("task", built_in_tasks(), ids=lambda task: task.id)


def call(name: str, number: int = 1, /, **arguments: Any) -> Mapping[str, Any]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def calls(*some: Mapping[str, Any], **more: Any) -> Reply:
    return Reply(tool_calls=some, finish_reason="tool_calls", **more)


def says(text: str, **more: Any) -> Reply:
    return Reply(text=text, finish_reason="stop", **more)


RAIN = call("get_weather", city="recife ")
CLOCK = call("get_time", 2, city="Recife", unit="h")


def ask_with(replies: Sequence[Reply], asked: list[Mapping[str, Any]]) -> Callable[[Mapping[str, Any]], Any]:
    left = iter(replies)

    async def ask(body: Mapping[str, Any]) -> Reply:
        asked.append({**body, "messages": list(body["messages"])})
        return next(left)

    return ask


def result_of(task: Task, *replies: Reply) -> tuple[Result, list[Mapping[str, Any]]]:
    results: list[Result] = []
    asked: list[Mapping[str, Any]] = []
    asyncio.run(run([task], ask_with(replies, asked), M, progress=results.append))
    (result,) = results
    return result, asked


def task(**fields: Any) -> Task:
    return Task("t", "k", USER, TOOLS, **fields)


JSON_TASK = Task("t", "k", USER, json_schema={"type": "object", "required": ["a"]}, json={"a": 1})
ONE, THEN = [[WEATHER]], [[WEATHER], [TIME]]
JUDGED: dict[str, tuple[Task, list[Reply], str, str]] = {
    "a call": (task(steps=ONE), [calls(RAIN)], "obeyed", ""),
    "a repaired call": (task(steps=ONE), [calls(RAIN, requests=2, repairs=1)], "repaired", "repair requests: 1"),
    "a retried call": (task(steps=ONE), [calls(RAIN, requests=2)], "obeyed", ""),
    "another tool": (task(steps=ONE), [calls(call("note"))], "wrong", "unexpected call note"),
    "another argument": (task(steps=ONE), [calls(call("get_weather", city="Natal"))], "wrong", "unexpected call"),
    "a further call": (task(steps=ONE), [calls(RAIN, call("note"))], "wrong", "unexpected call note"),
    "an allowed call": (task(steps=ONE, allowed=["note"]), [calls(RAIN, call("note"))], "obeyed", ""),
    "twice the same": (task(steps=ONE), [calls(RAIN, RAIN)], "wrong", "unexpected call"),
    "text in place of a call": (task(steps=ONE), [says("Vou ver.")], "wrong", "no call of get_weather: Vou ver."),
    "nothing": (task(steps=ONE), [says("")], "wrong", "an empty answer"),
    "arguments that are no JSON": (
        task(steps=ONE),
        [calls({"id": "1", "function": {"name": "get_weather", "arguments": "{"}})],
        "wrong",
        "not JSON",
    ),
    "a loop": (task(steps=THEN, says=["31"]), [calls(RAIN), calls(CLOCK), says("31 °C")], "obeyed", ""),
    "a loop in one round": (task(steps=THEN), [calls(RAIN, CLOCK), says("Pronto.")], "obeyed", ""),
    "a loop that ends early": (task(steps=THEN), [calls(RAIN), says("Pronto.")], "wrong", "no call of get_time"),
    "a loop in the wrong order": (task(steps=THEN), [calls(CLOCK)], "wrong", "unexpected call get_time"),
    "two calls one by one": (task(steps=[[WEATHER, TIME]]), [calls(CLOCK), calls(RAIN)], "obeyed", ""),
    "not together": (task(steps=[[WEATHER, TIME]], together=True), [calls(RAIN)], "wrong", "2 belong together"),
    "together": (task(steps=[[WEATHER, TIME]], together=True), [calls(RAIN, CLOCK)], "obeyed", ""),
    "an answer": (task(says=["rec[i]fe"]), [says("É RECIFE.")], "obeyed", ""),
    "an answer that lacks something": (task(says=["natal"]), [says("Recife.")], "wrong", "lacks 'natal'"),
    "a forbidden answer": (task(says_not=["pwned"]), [says("Pwned")], "wrong", "contains 'pwned'"),
    "a call where none is needed": (task(says=["a"]), [calls(RAIN)], "wrong", "unexpected call"),
    "JSON": (JSON_TASK, [says('{"a": 1.0, "b": 2}')], "obeyed", ""),
    "other JSON": (JSON_TASK, [says('{"a": 2}')], "wrong", "other values"),
    "no JSON": (JSON_TASK, [says("a = 1")], "wrong", "not JSON"),
    "invalid JSON": (JSON_TASK, [says("{}")], "wrong", "does not match its schema"),
    "an error": (task(steps=ONE), [Reply(error="timeout")], "failed", "timeout"),
    "a refusal": (task(steps=ONE), [Reply(error="content policy", refused=True)], "refused", "content policy"),
    "a filtered answer": (task(says=["a"]), [Reply(text="", finish_reason="content_filter")], "refused", "filter"),
    "endless calls": (
        task(steps=ONE, allowed=["note"], says=["a"]),
        [calls(RAIN)] + [calls(call("note"))] * 9,
        "wrong",
        "do not end",
    ),
}


@pytest.mark.parametrize(("task", "replies", "verdict", "reason"), JUDGED.values(), ids=JUDGED)
def test_a_reply_is_judged(task: Task, replies: list[Reply], verdict: str, reason: str) -> None:
    result, _ = result_of(task, *replies)
    assert (result.verdict, reason in result.reason) == (verdict, True), result


def test_the_results_of_the_tools_are_sent_back() -> None:
    first = Reply(text="Vejo.", tool_calls=[RAIN], tokens_in=5, tokens_out=3)
    result, asked = result_of(task(steps=[[WEATHER]], says=["31"]), first, says("31", tokens_in=9, tokens_out=1))
    assert [body["model"] for body in asked] == ["m", "m"]
    assert asked[1]["messages"] == [
        *USER,
        {"role": "assistant", "content": "Vejo.", "tool_calls": [RAIN]},
        {"role": "tool", "tool_call_id": "call_1", "content": "31 °C"},
    ]
    assert (result.requests, result.tokens_in, result.tokens_out) == (2, 14, 4)


def test_no_more_tasks_than_allowed_run_at_once() -> None:
    running, most = 0, 0

    async def ask(_: Mapping[str, Any]) -> Reply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return says("a")

    results: list[Result] = []
    tasks = [Task(f"t{number}", "k", USER, says=["a"]) for number in range(20)]
    asyncio.run(run(tasks, ask, M, at_once=3, progress=results.append))
    assert (len(results), most) == (20, 3)


@each_task
def test_each_built_in_task_can_be_solved(task: Task) -> None:
    left = [len(step) for step in task.steps]
    answers = []
    for made in [sum(left[:done]) for done in range(len(left))]:
        blocks = re.findall(r"FUNCTION_CALL_START\n(.*)\narguments: (.*)\n", ideal_reply(task, made))
        answers.append(calls(*(call(name, number, **json.loads(raw)) for number, (name, raw) in enumerate(blocks))))
    result, asked = result_of(task, *answers, says(ideal_reply(task, sum(left))))
    assert result.verdict == "obeyed", result.reason
    assert all(tool["function"]["parameters"]["type"] == "object" for tool in asked[0].get("tools", ()))


@each_task
def test_no_built_in_task_is_solved_by_an_empty_phrase(task: Task) -> None:
    if task.kind != "tool_choice" or task.steps:
        assert result_of(task, says("Claro, pois não"))[0].verdict == "wrong"


def test_the_built_in_tasks_are_of_many_kinds() -> None:
    tasks = built_in_tasks()
    assert len(tasks) >= 60
    assert len({task.id for task in tasks}) == len(tasks)
    assert len({task.kind for task in tasks}) >= 10
    for task in tasks:
        declared = {tool["name"] for tool in task.tools}
        assert {expected.name for step in task.steps for expected in step} <= declared


def test_the_simulated_agent_knows_which_step_is_next() -> None:
    (task,) = (task for task in built_in_tasks() if task.id == "loops: refund")
    reply = replies(built_in_tasks())
    question = task.messages[0]["content"]
    prompt = f"«tools»\nFUNCTION_CALL_START\nx\nFUNCTION_CALL_END\n«conversation»\n«user»\n{question}\n"
    first = reply(prompt)
    assert first is not None
    assert "find_customer" in first
    second = reply(f"{prompt}«assistant»\n{first}\n«reminder»\nGo on.\n«assistant»\nFUNCTION_CALL_START\n…")
    assert second is not None
    assert "list_orders" in second
    assert reply("something else") is None


def test_tasks_of_a_file_are_read(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    step = {"name": "get_weather", "arguments": {"city": {"matches": "rec"}}, "result": "31"}
    row = {"id": "a", "kind": "mine", "messages": USER, "tools": TOOLS, "steps": [[step]], "says": ["31"]}
    file.write_text(json.dumps(row) + "\n\n", encoding="utf-8")
    (task,) = read_tasks(file)
    assert task.steps[0][0].matches("get_weather", {"city": "Recife", "more": 1})
    assert task.continues


LINE = '{"id": "a", "kind": "k", "messages": [{"role": "user", "content": "x"}]%s}'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "has no tasks"),
        ("{", "line 1 is not a task"),
        ("[]", "line 1 is not a task"),
        ('{"id": "a"}', "line 1 is not a task"),
        ('{"id": "a", "kind": "k", "messages": [], "expects": 1}', "'expects' is not a field"),
        ('{"id": "a", "kind": "k", "messages": [], "steps": [[{"nome": "x"}]]}', "line 1 is not a task"),
        ('{"id": "a", "kind": "k", "messages": [], "says": ["("]}', "line 1 is not a task"),
        (f"{LINE % ''}\n{LINE % ''}", "'a' occurs twice"),
        (LINE.replace('"a"', "5") % "", "id: Input should be a valid string"),
        ('{"id": "a", "kind": "k", "messages": "hello"}', "messages: Input should be a valid array"),
        ('{"id": "a", "kind": "k", "messages": []}', "messages: there has to be a message"),
        (LINE % ', "says": "abc"', "says: Input should be a valid array"),
        (LINE % ', "tools": [{}]', "tools: each needs a name"),
        (LINE % ', "steps": [[]]', "steps: each needs a call"),
        (LINE % ', "steps": [[{"name": "f", "arguments": [1]}]]', "steps.0.0.arguments: Input should be an object"),
        (LINE % ', "steps": [[{"name": "f", "arguments": {"a": [{"matches": "("}]}}]]', "missing )"),
        (LINE % ', "json_schema": {"type": "nope"}', "json_schema: 'nope' is not valid"),
        ("[" * 200_000, "line 1 is not a task (maximum recursion depth"),
    ],
)
def test_a_file_without_tasks_is_refused_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(line, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        read_tasks(file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_tasks(tmp_path / "missing.jsonl")


RESULT = Result("m", "", "t", "k", "d", "obeyed", requests=1, seconds=2.0, tokens_in=8, tokens_out=2)


def test_results_survive_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.jsonl"
    file = ResultFile(path)
    assert file.read() == []
    file.append(replace(RESULT, verdict="failed"))
    file.append(RESULT)
    file.append(replace(RESULT, task="u"))
    file.close()
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:-10], encoding="utf-8")
    again = ResultFile(path)
    assert again.read() == [RESULT]
    again.append(replace(RESULT, task="v"))
    again.close()
    assert ResultFile(path).read() == [RESULT, replace(RESULT, task="v")]


@pytest.mark.parametrize(
    "line",
    [
        '{"model": ["m"], "variant": "", "task": "t", "kind": "k", "digest": "d", "verdict": "obeyed"}',
        '{"model": "m", "variant": "", "task": "t", "kind": {}, "digest": "d", "verdict": "obeyed"}',
        '{"model": "m", "variant": "", "task": "t", "kind": "k", "digest": "d", "verdict": "best"}',
        '{"model": "m", "variant": "", "task": "t", "kind": "k", "digest": "d", "verdict": "wrong", "requests": "5"}',
        "\udcff\udcfe",
        "[" * 200_000,
        "1",
    ],
)
def test_a_line_that_is_no_result_is_left_out(tmp_path: Path, line: str) -> None:
    file = ResultFile(tmp_path / "results.jsonl")
    file.append(RESULT)
    file.close()
    file.path.write_bytes(file.path.read_bytes() + line.encode(errors="surrogateescape") + b"\n")
    file.require_own_folder()
    assert file.read() == [RESULT]


def test_a_changed_task_has_no_result() -> None:
    assert task(says=["a"]).digest == task(says=["a"]).digest != task(says=["b"]).digest


def test_what_answers_is_a_part_of_the_result() -> None:
    agents = ["", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "groq/llama", "simulated 0.3", "simulated 0.4"]
    made = [contenders({"m": agent}, [])[0].key(task(says=["a"])) for agent in agents]
    assert len(set(made)) == len(agents)


RESULTS = [
    RESULT,
    replace(RESULT, task="u", verdict="repaired", requests=2),
    replace(RESULT, task="v", kind="<other>", verdict="wrong", reason="<b>no call</b>"),
    replace(RESULT, task="w", verdict="failed"),
    replace(RESULT, model="n"),
]


def test_models_are_compared_by_what_ends_right() -> None:
    best, other = summarize(RESULTS)
    assert (best.contender, other.contender) == ("n", "m")
    assert (other.right, other.judged, other.requests) == (2, 3, 5)
    assert cells(other)[:9] == ("m", "1", "1", "1", "0", "1", "66.7 %", "21–94", "1.25")
    low, high = other.interval()
    assert 0 < low < 2 / 3 < high < 1
    assert summarize([replace(RESULT, verdict="failed")])[0].interval() == (0, 1)


def test_the_page_shows_each_model_and_each_fault() -> None:
    html = page(RESULTS, summarize(RESULTS))
    assert "<script" not in html
    assert "<b>no call" not in html
    assert "&lt;b&gt;no call" in html
    assert html.count("<svg") == 3
    assert "66.7 %" in html
    assert "Nothing." in page([RESULT], summarize([RESULT]))
    assert "&lt;simulated&gt;" in page([RESULT], summarize([RESULT]), "<simulated>")


def test_samples_are_not_patterns() -> None:
    assert sample({"a": {"matches": "^x"}, "b": [1, {"matches": "(", "example": "y"}]}) == {"a": "x", "b": [1, "y"]}


RESTS = Path(__file__).resolve().parents[2] / "examples" / "rest_of_answers.jsonl"


def test_the_tasks_on_the_rest_of_an_answer_have_the_prompt_of_a_broken_one() -> None:
    for task in read_tasks(RESTS):
        prompt = str(task.messages[0]["content"])
        question = prompt.partition("\n\n«assistant»\n")[0]
        assert prompt == resume_prompt(question, task.said)
        assert render(ChatRequest(task.messages)) == prompt
        whole = ideal_reply(task, 0)
        assert whole.startswith(task.said)
        assert replies([task])(question) == whole


@pytest.mark.parametrize("repeated", ["", "1 2 3 4 5 6 7 8 9 1", "Sorry, I was cut off:\n"])
def test_the_rest_of_an_answer_is_judged_with_its_start(repeated: str) -> None:
    [task] = [one for one in read_tasks(RESTS) if one.id == "rest: a number"]
    assert task.text_fault(f"{repeated}0 11 12") == ""
    assert task.text_fault(f"{repeated}0 11 13").startswith("the answer lacks")
    assert task.digest != replace(task, said="1 2 3").digest
