"""The slips of weaker models through the whole path: provider, agent's stream, repair round, answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.asking import ENTRIES

CASES = Path(__file__).parents[1] / "cases"
WAYS = [("completion", 0), ("acompletion", 7), ("astreaming", 0), ("astreaming", 7), ("streaming", 1)]


def slips():
    lines = (CASES / "slips.jsonl").read_text(encoding="utf-8").split("\n")
    return [case for case in map(json.loads, filter(None, lines)) if not case["debatable"]]


def block(name, arguments):
    return f"FUNCTION_CALL_START\n{name}\narguments: {json.dumps(arguments)}\nFUNCTION_CALL_END"


@pytest.mark.slow
@pytest.mark.parametrize(("way", "size"), WAYS)
def test_slips_end_right_for_few_requests(provider, simulator, way, size):
    wrong, requests, cases = [], 0, slips()
    for case in cases:
        text, expected = case["text"], [(call["name"], call["arguments"]) for call in case["expected"]["calls"]]
        tools = [
            {"type": "function", "function": {"name": name, "parameters": schema}}
            for name, schema in case["tools"].items()
        ]
        pieces = [text[at : at + size] for at in range(0, len(text), size)] if size else [text]
        second = "\n".join(block(*call) for call in expected) or "Ok."
        simulator.reset()
        simulator.script({"pieces": pieces}, {"text": second, "times": 3})
        messages = [{"role": "user", "content": "Go on."}]
        answer = ENTRIES[way](provider, messages, optional_params={"tools": tools} if tools else {})
        calls = [(name, json.loads(arguments)) for name, arguments in answer.calls]
        leaked = [text for text in case["expected"]["not_in_text"] if text in answer.content]
        if calls != expected or leaked:
            wrong.append(case["id"])
        requests += len([request for request in simulator.requests() if request["path"].endswith("chat")])
    assert wrong == []
    assert requests <= 1.3 * len(cases)
