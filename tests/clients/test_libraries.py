"""Libraries and tools that pin what others need, each in its own environment: the examples as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT
from tests.support.proxy import Simulator

from .conftest import Workplace


def test_the_agents_sdk_calls_its_tool_run_and_streamed(workplace: Workplace) -> None:
    printed = workplace.run("openai_agents", "python", ROOT / "examples/openai_agents/agent.py")
    assert [line.partition(". ")[0] for line in printed.splitlines()] == [
        "Segundo buscar_tempo: Tempo em São Paulo: 25°C, ensolarado",
        "Segundo buscar_tempo: Tempo em Recife: 25°C, ensolarado",
    ]


def test_instructor_gets_a_validated_object_whole_and_in_parts(workplace: Workplace) -> None:
    printed = workplace.run("instructor", "python", ROOT / "examples/instructor/extract.py")
    assert printed.splitlines() == ["Viagem(cidade='Recife', dias=3)"] * 2


def test_instructor_asks_again_with_what_was_invalid(
    workplace: Workplace, simulator: Simulator, call: Callable[..., dict[str, Any]]
) -> None:
    simulator.script(call("Viagem", cidade="Recife", dias=-3), call("Viagem", cidade="Recife", dias=3))
    printed = workplace.run("instructor", "python", ROOT / "examples/instructor/extract.py")
    assert printed.splitlines() == ["Viagem(cidade='Recife', dias=3)"] * 2
    assert "greater than 0" in simulator.requests()[1]["prompt"]


def test_llm_runs_a_function_and_gets_its_result_to_the_agent(
    workplace: Workplace, simulator: Simulator, call: Callable[..., dict[str, Any]]
) -> None:
    _set_up_llm(workplace)
    function = "def times(a: int, b: int) -> int:\n    'Multiply two numbers.'\n    return a * b\n"
    simulator.script(call("times", a=6, b=1000003), {"text": "Done."})
    printed = workplace.run("llm", "llm", "-m", "stackspot", "--functions", function, "What is 6 * 1000003?")
    assert printed == "Done.\n"
    assert "6000018" in simulator.requests()[-1]["prompt"]


def test_llm_gets_json_of_its_schema(workplace: Workplace, simulator: Simulator) -> None:
    _set_up_llm(workplace)
    simulator.script({"text": '```json\n{"cidade": "Recife", "dias": 3}\n```'})
    printed = workplace.run("llm", "llm", "-m", "stackspot", "--schema", "cidade, dias int", "3 dias em Recife")
    assert printed.strip() == '{"cidade": "Recife", "dias": 3}'


def _set_up_llm(workplace: Workplace) -> None:
    database = workplace.run("llm", "llm", "logs", "path").strip()
    workplace.example("llm/extra-openai-models.yaml", str(Path(database).with_name("extra-openai-models.yaml")))
    workplace.run("llm", "llm", "keys", "set", "stackspot", "--value", workplace.proxy.key)
