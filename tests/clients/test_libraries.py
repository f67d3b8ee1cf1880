"""Libraries and tools that pin what others need, each in its own environment: the examples as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT
from tests.support.proxy import Simulator

from .conftest import Workplace


def test_the_agents_sdk_calls_its_tool_run_and_streamed(workplace: Workplace) -> None:
    printed = workplace.run("openai_agents", "python", ROOT / "examples/openai_agents/agent.py")
    assert _answers(printed) == [
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


@pytest.mark.parametrize(
    ("client", "tool"),
    [("autogen", "buscar_tempo"), ("semantic_kernel", "Tempo-buscar_tempo")],
)
def test_an_agent_calls_its_tool_run_and_streamed(
    client: str, tool: str, workplace: Workplace, simulator: Simulator
) -> None:
    printed = workplace.run(client, "python", ROOT / f"examples/{client}/agent.py")
    assert _answers(printed) == [
        f"Segundo {tool}: Tempo em São Paulo: 25°C, ensolarado",
        f"Segundo {tool}: Tempo em Recife: 25°C, ensolarado",
    ]
    assert len(simulator.requests()) == 4


def test_crewai_gives_the_result_of_its_tool_to_the_agent_run_and_streamed(
    workplace: Workplace, simulator: Simulator, call: Callable[..., dict[str, Any]]
) -> None:
    first, second = (call("buscar_tempo", cidade=city) for city in ("São Paulo", "Recife"))
    simulator.script(first, {"text": "Sol em São Paulo"}, second, {"text": "Sol em Recife"})
    printed = workplace.run("crewai", "python", ROOT / "examples/crewai/agent.py")
    answers = _answers(printed)
    assert [answers[0], answers[-1]] == ["Sol em São Paulo", "Sol em Recife"]
    prompts = [request["prompt"] for request in simulator.requests()]
    assert ["25°C" in prompt for prompt in prompts] == [False, True, False, True]


def test_llama_index_streams_and_calls_its_tool(workplace: Workplace, simulator: Simulator) -> None:
    printed = workplace.run("llama_index", "python", ROOT / "examples/llama_index/agent.py")
    assert _answers(printed) == [
        "1 2 3 4 5 6 7 8 9 10 11 12",
        "Segundo buscar_tempo: Tempo em Recife: 25°C, ensolarado",
    ]
    assert len(simulator.requests()) == 3


def test_the_vercel_ai_sdk_calls_its_tool_and_gets_an_object(workplace: Workplace, simulator: Simulator) -> None:
    # Node looks for packages beside the program.
    (workplace.folder / "node_modules").symlink_to(ROOT / ".clients/vercel_ai_sdk/node_modules")
    printed = workplace.run("vercel_ai_sdk", "node", workplace.example("vercel_ai_sdk/agent.mjs", "agent.mjs"))
    *answers, extracted = printed.splitlines()
    assert _answers("\n".join(answers)) == [
        "Segundo buscar_tempo: Tempo em São Paulo: 25°C, ensolarado",
        "Segundo buscar_tempo: Tempo em Recife: 25°C, ensolarado",
    ]
    assert set(json.loads(extracted)) == {"cidade", "dias"}
    assert len(simulator.requests()) == 5


def _answers(printed: str) -> list[str]:
    """The first sentence of each line."""
    return [line.partition(". ")[0].removesuffix(".") for line in printed.splitlines()]
