"""Tasks that the long texts of tools decide, and the comparison of prompts that have and lack them."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from custom_handler.emulation.prompt.compact_tools import ARGUMENT_CHARACTERS, TOOL_CHARACTERS
from custom_handler.emulation.prompt.render import render
from custom_handler.errors import ConfigurationError
from custom_handler.evaluate import Contender, built_in_tasks, comparisons, page, run, summarize, with_compact_models
from custom_handler.evaluate.page import cells
from custom_handler.evaluate.rehearsal import ideal_reply, replies
from custom_handler.evaluate.results import Result
from custom_handler.evaluate.runner import Reply
from custom_handler.evaluate.task import ExpectedCall, Task
from custom_handler.provider import PROVIDER
from custom_handler.request.chat_request import ChatRequest

TASKS = [task for task in built_in_tasks() if task.kind == "coding agent"]

each = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)


def prompt_of(task: Task, *, compact: bool = False) -> str:
    body = task.request()
    request = ChatRequest.from_openai(body.pop("messages"), body)
    return render(replace(request, compact_tools=compact))


def blocks(text: str) -> list[Mapping[str, Any]]:
    found = re.findall(r"FUNCTION_CALL_START\n(.*)\narguments: (.*)\n", text)
    return [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(found)
    ]


def verdict_on(task: Task, text: str) -> str:
    async def ask(_: Mapping[str, Any]) -> Reply:
        return Reply(tool_calls=blocks(text))

    results: list[Result] = []
    asyncio.run(run([replace(task, steps=task.steps[:1])], ask, Contender("m"), progress=results.append))
    return results[0].verdict


@each
def test_a_task_depends_on_rules_that_only_its_tools_have(task: Task) -> None:
    tools = json.dumps(task.tools, ensure_ascii=False)
    assert task.rules
    assert all(rule in tools and rule not in str(task.messages) for rule in task.rules)


@each
def test_the_simulated_agent_follows_the_rules_that_it_can_read(task: Task) -> None:
    reply, whole = replies(TASKS), prompt_of(task)
    first = ideal_reply(task, 0)
    assert (reply(whole), verdict_on(task, first)) == (first, "obeyed")
    for rule in task.rules:
        mistaken = reply(whole.replace(rule, ""))
        assert mistaken is not None
        assert verdict_on(task, mistaken) == "wrong"


def test_a_rule_with_quotes_is_found_where_it_is_json() -> None:
    quoting = replace(TASKS[0], rules=['such as "3-3"'])
    assert replies([quoting])(prompt_of(quoting)) == ideal_reply(quoting, 0)


@each
def test_the_texts_are_as_long_as_those_of_real_agents(task: Task) -> None:
    assert sum(len(tool["description"]) > TOOL_CHARACTERS for tool in task.tools) >= len(task.tools) / 2
    assert len(prompt_of(task)) > max(15_000, 1.2 * len(prompt_of(task, compact=True)))
    arguments = [schema for tool in task.tools for schema in tool["parameters"]["properties"].values()]
    assert any(len(schema.get("description", "")) > ARGUMENT_CHARACTERS for schema in arguments)


@each
def test_compact_tools_keep_the_rules(task: Task) -> None:
    assert replies(TASKS)(prompt_of(task, compact=True)) == ideal_reply(task, 0)
    assert len(prompt_of(task, compact=True)) < len(prompt_of(task))


def test_a_task_without_rules_keeps_the_digest_of_its_earlier_results() -> None:
    task = Task("t", "k", [{"role": "user", "content": "go"}], says=["a"])
    assert task.digest == "8bd5e8549db5"
    assert task.digest != replace(task, rules=["r"], mistaken=[ExpectedCall("f")]).digest


ENTRY = {"model_name": "a", "litellm_params": {"model": f"{PROVIDER}/a"}, "model_info": {"id": "1", "mode": "chat"}}
OTHER = {"model_name": "b", "litellm_params": {"model": "groq/b"}}


def test_a_model_is_listed_with_and_without_compact_tools() -> None:
    listed = with_compact_models({"model_list": [OTHER, ENTRY], "litellm_settings": {}}, ["a"])
    assert listed == {
        "model_list": [
            OTHER,
            {**ENTRY, "model_info": {"id": "1", "mode": "chat", "compact_tools": False}},
            {**ENTRY, "model_name": "a (compact tools)", "model_info": {"mode": "chat", "compact_tools": True}},
        ],
        "litellm_settings": {},
    }


@pytest.mark.parametrize("model", ["groq/b", f"{PROVIDER}/quick-command/b"])
@pytest.mark.parametrize("name", ["a", "b"])
def test_only_agents_have_compact_tools(model: str, name: str) -> None:
    other = {"model_name": name, "litellm_params": {"model": model}}
    with pytest.raises(ConfigurationError, match=f"The model '{name}' is no agent"):
        with_compact_models({"model_list": [ENTRY, other]}, ["a", name])


WITHOUT = Result("m", "", "t", "k", "d", "obeyed", prompt_characters=20_000)
COMPACT = replace(WITHOUT, model="m (compact tools)", prompt_characters=5_000)
RESULTS = [
    WITHOUT,
    COMPACT,
    replace(WITHOUT, task="<u>", verdict="repaired"),
    replace(COMPACT, task="<u>", verdict="wrong"),
    replace(WITHOUT, task="v", verdict="wrong", prompt_characters=0),
    replace(COMPACT, task="v", verdict="obeyed"),
    replace(WITHOUT, task="w", verdict="failed"),
    replace(COMPACT, task="w"),
    replace(WITHOUT, task="x"),
    replace(COMPACT, variant="short"),
    replace(WITHOUT, model="alone"),
]


def test_what_compact_tools_change_is_compared_task_by_task() -> None:
    [found] = comparisons(RESULTS)
    assert found.cells() == ("m", "3", "2", "2", "20,000", "5,000", "75 %")
    assert found.differences() == [("<u>", "m", "lost"), ("v", "m", "gained")]
    [other] = comparisons([replace(WITHOUT, variant="short", prompt_characters=0), replace(COMPACT, variant="short")])
    assert other.cells() == ("m (short)", "1", "1", "1", "0", "0", "0 %")


def test_the_page_compares_a_model_with_and_without_compact_tools() -> None:
    html = page(RESULTS, summarize(RESULTS))
    assert "With and without compact tools" in html
    assert "<td>75 %</td>" in html
    assert "<td>&lt;u&gt;</td><td>m</td><td>lost</td>" in html
    assert "With and without" not in page([WITHOUT], summarize([WITHOUT]))
    same = page([WITHOUT, COMPACT], summarize([WITHOUT, COMPACT]))
    assert ("With and without" in same, "With compact tools" in same) == (True, False)


def test_a_prompt_that_was_not_measured_has_no_size() -> None:
    one, none = (cells(summarize([result])[0])[-1] for result in (WITHOUT, replace(WITHOUT, prompt_characters=0)))
    assert (one, none) == ("20,000", "–")


def test_the_document_counts_the_tasks_and_says_that_rules_are_kept() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    counted = dict(re.findall(r"^\| `?([\w ]+?)`? \| (\d+) \|", text, re.MULTILINE))
    assert {kind: int(number) for kind, number in counted.items()} == Counter(one.kind for one in built_in_tasks())
    assert f"It runs {len(built_in_tasks())} tasks" in text
    ends = re.findall(r"^\| ([\w ]+) \| .* \| (kept|cut) \|$", text, re.MULTILINE)
    assert {end for _, end in ends} == {"kept"}
    assert [f"coding agent: {name}" for name, _ in ends] == [task.id for task in TASKS]
