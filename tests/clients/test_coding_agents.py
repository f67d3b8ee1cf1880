"""Coding agents from npm and PyPI repair a file and run it, through the proxy, with the configuration of `examples/`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.proxy import Simulator

from .conftest import Workplace

BROKEN, MENDED = "6 * 8", "6 * 7"
PROGRAM = "print({} * 1000003)\n"
# In the program's output alone: neither the program nor the question holds it.
PRINTED = str(6 * 7 * 1000003)
QUESTION = "The program hello.py should multiply 6 by 7. Repair it and run it."
ANSWER = "Repaired, and it ran."
RUN = "python3 hello.py"


@dataclass(frozen=True)
class CodingAgent:
    """How a coding agent is started, and the calls of its tools that do the task; {path} is the program's."""

    client: str
    files: dict[str, str]
    command: tuple[str, ...]
    calls: tuple[tuple[str, dict[str, Any]], ...]

    def __str__(self) -> str:
        return self.client


AGENTS = (
    CodingAgent(
        "claude_code",
        {"claude_code/settings.json": "settings.json"},
        ("claude", "--settings", "settings.json", "--allowedTools=Edit,Bash", "-p", QUESTION),
        (
            ("Read", {"file_path": "{path}"}),
            ("Edit", {"file_path": "{path}", "old_string": BROKEN, "new_string": MENDED}),
            ("Bash", {"command": RUN, "description": "Run it"}),
        ),
    ),
    CodingAgent(
        "codex",
        {"codex/config.toml": ".codex/config.toml"},
        ("codex", "exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", QUESTION),
        (
            ("exec_command", {"cmd": f"sed -i 's/{BROKEN.replace('*', '[*]')}/{MENDED}/' hello.py"}),
            ("exec_command", {"cmd": RUN}),
        ),
    ),
    CodingAgent(
        "cline",
        {"cline/cline.sh": "cline.sh"},
        ("sh", "cline.sh", QUESTION),
        (
            ("read_files", {"files": [{"path": "{path}"}]}),
            ("editor", {"path": "{path}", "old_text": BROKEN, "new_text": MENDED}),
            ("run_commands", {"commands": [RUN]}),
        ),
    ),
    CodingAgent(
        "continue",
        {"continue/config.yaml": "config.yaml"},
        ("cn", "--config", "config.yaml", "--auto", "-p", QUESTION),
        (
            ("Read", {"filepath": "{path}"}),
            ("Edit", {"file_path": "{path}", "old_string": BROKEN, "new_string": MENDED}),
            ("Bash", {"command": RUN}),
        ),
    ),
    CodingAgent(
        "copilot_cli",
        {"copilot_cli/copilot.sh": "copilot.sh"},
        ("sh", "copilot.sh", "--allow-all-tools", "-p", QUESTION),
        (
            ("view", {"path": "{path}"}),
            ("edit", {"path": "{path}", "old_str": BROKEN, "new_str": MENDED}),
            ("bash", {"command": RUN, "description": "Run it"}),
        ),
    ),
    CodingAgent(
        "opencode",
        {"opencode/opencode.json": "opencode.json"},
        # Without a title, OpenCode asks for one beside the task.
        ("opencode", "run", "--auto", "--title", "Repair", QUESTION),
        (
            ("read", {"filePath": "{path}"}),
            ("edit", {"filePath": "{path}", "oldString": BROKEN, "newString": MENDED}),
            ("bash", {"command": RUN, "description": "Run it"}),
        ),
    ),
    CodingAgent(
        "gemini_cli",
        {"gemini_cli/gemini.sh": "gemini.sh", "gemini_cli/settings.json": ".gemini/settings.json"},
        ("sh", "gemini.sh", "--yolo", "-p", QUESTION),
        (
            ("read_file", {"file_path": "{path}"}),
            (
                "replace",
                {
                    "file_path": "{path}",
                    "instruction": "Multiply 6 by 7.",
                    "old_string": BROKEN,
                    "new_string": MENDED,
                },
            ),
            ("run_shell_command", {"command": RUN, "description": "Run it"}),
        ),
    ),
)


@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_a_coding_agent_repairs_a_file_and_runs_it(
    agent: CodingAgent, workplace: Workplace, simulator: Simulator, call: Callable[..., dict[str, Any]]
) -> None:
    program = workplace.folder / "hello.py"
    program.write_text(PROGRAM.format(BROKEN))
    for name, target in agent.files.items():
        workplace.example(name, target)
    simulator.script(*(call(name, **_at(program, arguments)) for name, arguments in agent.calls), {"text": ANSWER})
    printed = workplace.run(agent.client, *agent.command)
    assert ANSWER in printed
    assert program.read_text() == PROGRAM.format(MENDED)
    prompts = [request["prompt"] for request in simulator.requests("hello.py should multiply")]
    assert len(prompts) == len(agent.calls) + 1
    assert PRINTED in prompts[-1]
    assert not any(PRINTED in prompt for prompt in prompts[:-1])


def _at(program: Path, value: Any) -> Any:
    """Fill in the program's path, wherever it stands in a tool's arguments."""
    if isinstance(value, dict):
        return {name: _at(program, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_at(program, item) for item in value]
    return str(program) if value == "{path}" else value


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="aider has no release for Python 3.13")
def test_aider_repairs_a_file_until_its_test_passes(workplace: Workplace, simulator: Simulator) -> None:
    program = workplace.folder / "hello.py"
    program.write_text(PROGRAM.format(BROKEN))
    workplace.example("aider/aider.conf.yml", "aider.conf.yml")
    check = f"test $({RUN}) = {PRINTED} || {{ echo The program printed $({RUN}); exit 1; }}"
    simulator.script(_edit(BROKEN, "6 * 9"), _edit("6 * 9", MENDED))
    command = ("aider", "--config", "aider.conf.yml", "--openai-api-key", workplace.proxy.key, "--no-git")
    workplace.run(
        "aider", *command, "--yes-always", "--auto-test", "--test-cmd", check, "--message", QUESTION, "hello.py"
    )
    assert program.read_text() == PROGRAM.format(MENDED)
    first, second = simulator.requests("hello.py should multiply")
    told = f"The program printed {6 * 9 * 1000003}"
    assert told not in first["prompt"]
    assert told in second["prompt"]


def _edit(old: str, new: str) -> dict[str, Any]:
    """A play in which the agent writes aider's search/replace block."""
    old, new = PROGRAM.format(old), PROGRAM.format(new)
    return {"text": f"hello.py\n```python\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n```\n"}
