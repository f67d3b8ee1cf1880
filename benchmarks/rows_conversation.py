"""The characters that native conversations save in a tool loop."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from custom_handler import StackspotLLM
from custom_handler.settings import AccountSettings, LimitSettings, Settings
from custom_handler.simulator import SimulatorSettings, SimulatorThread

from . import texts
from .bench import Bench
from .figures import Figure

TURNS = 20
MODEL = "stackspot-chat"


@dataclass(frozen=True)
class Loop:
    """A tool loop; sizes in characters: system text, compact JSON of the tools, each result."""

    name: str
    system: int
    tools: int
    declared: int
    result: int


LOOPS = (
    Loop("a coding agent's (20 tools of 65 kB, results of 1.5 kB)", 8000, 20, 65_000, 1500),
    Loop("a small one (2 tools of 3 kB, results of 300)", 500, 2, 3000, 300),
)


def conversation(_: Bench) -> list[Figure]:
    """Measure the characters sent in 20 turns, natively and with the history in each prompt."""
    row = f"tool loop of {TURNS} turns"
    with SimulatorThread(SimulatorSettings(first_token_delay=0, cadence=0)) as simulator:
        return [
            Figure.ratio(
                row,
                f"characters sent in {loop.name}",
                "",
                {"native": [_sent(simulator, loop, native=True)], "prompt": [_sent(simulator, loop, native=False)]},
            )
            for loop in LOOPS
        ]


def _sent(simulator: SimulatorThread, loop: Loop, *, native: bool) -> float:
    """Run the loop, in which every turn but the last calls a tool; return the characters."""
    simulator.reset()
    for number in range(TURNS - 1):
        arguments = json.dumps({"option_0": "one", "text": texts.prose(300, number)})
        block = f"FUNCTION_CALL_START\ntool_{number % loop.tools:02}\narguments: {arguments}\nFUNCTION_CALL_END"
        simulator.script({"text": f"{texts.prose(100, number)}\n{block}"})
    simulator.script({"text": "Done."})
    provider, call = _provider(simulator), _call(loop, native=native)
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": texts.prose(loop.system)},
        {"role": "user", "content": texts.prose(500, 1)},
    ]
    for number in range(TURNS):
        message = provider.completion(MODEL, messages, **call).choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        result = {"role": "tool", "content": texts.prose(loop.result, number)}
        messages += [{**result, "tool_call_id": made.id} for made in message.tool_calls or ()]
    asked = simulator.requests("chat")
    if len(asked) != TURNS or messages[-1]["content"] != "Done.":
        raise RuntimeError(f"the loop took {len(asked)} questions and ended with {messages[-1]['role']}")
    return float(sum(record["characters"] for record in asked))


def _provider(simulator: SimulatorThread) -> StackspotLLM:
    return StackspotLLM(
        Settings(
            account=AccountSettings(
                client_id="simulator",
                client_secret="simulator-secret",
                realm="simulator",
                agent_id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
                idm_url=simulator.url,
                inference_url=simulator.url,
            ),
            limits=LimitSettings(requests_per_minute=0),
        )
    )


def _call(loop: Loop, *, native: bool) -> dict[str, Any]:
    info = {"conversation": "native"} if native else {}
    return {
        "optional_params": {"tools": texts.tools(loop.tools, loop.declared)},
        "headers": {"correlation-id": "bench"},
        "litellm_params": {"model_info": info},
    }
