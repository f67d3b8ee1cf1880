"""Announcements of a call: each case, and the rule that a false alarm is worse than a missed one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from custom_handler.emulation.announcement import MAX_CHARACTERS, announces_call, forbids_calls
from tests.support.growth import is_linear

TABLE = Path(__file__).parents[1] / "cases" / "follow_ups.jsonl"
CASES = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()]


def is_followed_up(user: Any, reply: str) -> bool:
    return announces_call(reply) and not forbids_calls([{"role": "user", "content": user}])


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_only_an_announcement_is_followed_up(case: dict[str, Any]) -> None:
    assert is_followed_up(case["user"], case["reply"]) is case["announces"]


def test_the_cases_are_many_and_of_three_languages() -> None:
    assert sum(case["announces"] for case in CASES) >= 60
    assert sum(not case["announces"] for case in CASES) >= 120
    assert {case["id"].split("-")[1] for case in CASES} == {"pt", "en", "es"}


@pytest.mark.parametrize(
    "reply", ["", "  ", "…", "***", "🔎", "\n\n", "x" * (MAX_CHARACTERS + 1) + "\nVou ler o arquivo."]
)
def test_nothing_and_long_reports_announce_nothing(reply: str) -> None:
    assert not announces_call(reply)


def test_the_user_forbids_in_parts_of_text_too() -> None:
    parts = [{"type": "image_url"}, {"type": "text", "text": "Não execute nada."}]
    assert not is_followed_up(parts, "Vou ler o arquivo.")
    messages = [{"role": "user", "content": "Não execute nada."}, {"role": "user", "content": "Agora pode."}]
    assert not forbids_calls(messages)
    assert not forbids_calls([{"role": "assistant", "content": "Não execute nada."}])


REMINDER = "<system-reminder>\nThe todo list is empty.\n</system-reminder>"


@pytest.mark.parametrize(
    ("said", "forbids"),
    [
        (["Do not edit anything.", REMINDER], True),
        (["Do not edit anything.", [{"type": "text", "text": REMINDER}], [{"type": "image_url"}]], True),
        (["Do not edit anything.", REMINDER, "Now you may."], False),
        (["Do not edit anything.", f"{REMINDER}Now you may."], False),
        (["Read a.txt.", REMINDER], False),
        (["Nunca execute comandos sem me perguntar.", "E o arquivo b?"], True),
        (["From now on, don't run tests: I'll run them myself.", "And b?", REMINDER], True),
        (["De ahora en adelante no ejecutes nada.", "¿Y b?"], True),
        (["Sempre responda em português.", "E o arquivo b?"], False),
        (["I never saw this error.", "Fix it."], False),
    ],
)
def test_what_was_forbidden_holds(said: list[Any], forbids: bool) -> None:
    answer = {"role": "assistant", "content": "Ok."}
    messages = [message for text in said for message in ({"role": "user", "content": text}, answer)]
    assert forbids_calls(messages) is forbids


@pytest.mark.slow
@pytest.mark.parametrize("part", ["não ", "eu vou ", "ok, ", "i'll go ", "antes de ", "- ", "deixe "])
def test_the_cost_of_a_long_message_is_linear(part: str) -> None:
    assert is_linear(lambda count: forbids_calls([{"role": "user", "content": part * count}]), 40_000)
