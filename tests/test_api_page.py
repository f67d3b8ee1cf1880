"""The page of the Python API: its programs run, and what it documents is there."""

from __future__ import annotations

import importlib
import re
from operator import attrgetter
from pathlib import Path

import litellm
import pytest

import custom_handler
from custom_handler.cli.run import simulator_environment

PAGE = (Path(__file__).resolve().parents[1] / ".ci" / "api.md").read_text(encoding="utf-8")
ALONE, TESTED = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def without_providers(monkeypatch):
    monkeypatch.setattr(litellm, "custom_provider_map", [])


def test_the_program_without_a_proxy_prints_the_agents_answer(running_simulator, monkeypatch, capsys):
    for name, value in simulator_environment(running_simulator.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(vars(custom_handler), "stackspot_llm", raising=False)
    running_simulator.reset()
    running_simulator.script({"text": "Sou o agente."})
    exec(compile(ALONE, "api.md", "exec"), {})
    assert capsys.readouterr().out == "Sou o agente.\n"
    monkeypatch.delitem(vars(custom_handler), "stackspot_llm")


def test_the_program_for_tests_runs():
    names: dict[str, object] = {}
    exec(
        compile(TESTED.replace("    litellm.completion(", "    answer = litellm.completion("), "api.md", "exec"), names
    )
    assert names["answer"].choices[0].message.content  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", re.findall(r"^::: (\S+)", PAGE, re.MULTILINE))
def test_what_the_page_documents_is_there_and_has_a_docstring(name):
    module = name if name.rpartition(".")[2].islower() else name.rpartition(".")[0]
    found = importlib.import_module(module)
    assert (attrgetter(name.removeprefix(f"{module}."))(found) if name != module else found).__doc__


def test_the_names_of_config_yaml_are_documented():
    assert set(re.findall(r"`custom_handler\.(\w+)`", PAGE)) == {*custom_handler.__all__} - {"StackspotLLM"}
