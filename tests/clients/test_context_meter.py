"""Claude Code's context meter shows the agent's own count of the prompt, and the window of the example's settings."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.proxy import Simulator

from .conftest import Workplace

COUNTED, WINDOW = 61_700, 250_000  # tokens: 61.7k and 250k, of which the meter shows 25 %
ANSWER = "Hello from the agent."


def test_the_meter_shows_what_the_agent_counted(workplace: Workplace, simulator: Simulator) -> None:
    settings = json.loads(workplace.example("claude_code/settings.json", "settings.json").read_text())
    assert settings["env"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == str(WINDOW)
    simulator.script({"text": ANSWER, "tokens": {"input": COUNTED, "output": 8}})
    claude = ("claude", "--settings", "settings.json")
    output = ("--output-format", "stream-json", "--verbose")
    printed = workplace.run("claude_code", *claude, "-p", "Say hello.", *output)
    lines: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    [result] = [line for line in lines if line["type"] == "result"]
    assert (result["result"], result["usage"]["input_tokens"]) == (ANSWER, COUNTED)
    assert result["modelUsage"]["stackspot-chat"]["contextWindow"] == WINDOW
    meter = workplace.run("claude_code", *claude, "-c", "-p", "/context")
    found = re.search(r"\*\*Tokens:\*\* (\S+) / (\S+) \((\d+)%\)", meter)
    assert found is not None, meter
    assert found.groups() == ("61.7k", "250k", "25")
