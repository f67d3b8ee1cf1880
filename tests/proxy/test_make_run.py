"""What `make run` starts, on a folder that has no `.env` yet, and the examples that a new user runs next."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import BIN, ROOT, Simulator, free_port, process, wait_for


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int, str]]:
    """A first start: its folder, its port and what it printed. Its end must leave nothing running."""
    folder, port = tmp_path_factory.mktemp("first-start"), free_port()
    for name in (".env.example", "config.yaml"):
        shutil.copy(ROOT / name, folder)
    log = folder / "log"
    command = [str(BIN / "python"), "-m", "custom_handler", "run", "--port", str(port)]
    with process(command, log, cwd=folder, PYTHONPATH=str(ROOT)) as running:
        wait_for(log, r"The proxy is ready.*\n\n.*curl.*\n", running)
        yield folder, port, log.read_text()
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(30) == 0
        simulator = re.search(r"simulator on (\S+)", log.read_text())
        assert simulator
        for url in (simulator[1], f"http://127.0.0.1:{port}"):
            assert subprocess.run(["curl", "-s", url], capture_output=True, check=False).returncode == 7, "still there"


def test_the_first_start_writes_env_with_a_strong_key_that_only_its_owner_can_read(
    started: tuple[Path, int, str],
) -> None:
    folder, _, _ = started
    env = folder / ".env"
    assert re.search(r"^LITELLM_MASTER_KEY=sk-[\w-]{40,}$", env.read_text(), re.MULTILINE)
    assert env.stat().st_mode & 0o077 == 0


def test_only_this_machine_can_reach_it(started: tuple[Path, int, str]) -> None:
    _, port, printed = started
    assert f"Uvicorn running on http://127.0.0.1:{port} " in printed


def test_it_says_in_one_line_that_a_simulator_stands_in(started: tuple[Path, int, str]) -> None:
    _, _, printed = started
    [line] = [line for line in printed.splitlines() if "simulator on http://127.0.0.1:" in line]
    assert "CLIENT_ID, CLIENT_SECRET, REALM, GENAI_AGENT_ID not set" in line


def test_the_curl_that_it_prints_works_when_pasted(started: tuple[Path, int, str]) -> None:
    folder, _, printed = started
    [command] = [line for line in printed.splitlines() if line.startswith("curl ")]
    answer = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert '"role":"assistant"' in answer


def test_nothing_that_it_prints_holds_the_key(started: tuple[Path, int, str]) -> None:
    folder, _, printed = started
    key = re.search(r"^LITELLM_MASTER_KEY=(.+)$", (folder / ".env").read_text(), re.MULTILINE)
    assert key
    assert key[1] not in printed


EXAMPLES = {
    "curl/curl.sh": r'"finish_reason":"tool_calls"',
    "openai/chat.py": "Segundo buscar_tempo.* 25°C, ensolarado",
    "openai/async_chat.py": "1 2 3 4 5\n1 2 3 4 5 6 7\n",
    "openai/responses.py": "Segundo buscar_tempo.* 25°C, ensolarado(.|\n)* 10 11 12",
    "pydantic_ai/agent.py": "Tool calls: 1\n.*Recife: 25°C.*\nViagem\\(cidade='Recife', dias=3\\)",
    "langchain/chain.py": "10 11 12\n.*25°C, ensolarado.*\nViagem\\(cidade='Recife', dias=3\\)",
    "langgraph/agent.py": "São Paulo: 25°C.*\n.*Recife: 25°C.*\n8 messages",
    "google_genai/chat.py": "1 2 3 4 5 6 7 8 9 10 11 12\n.*25°C, ensolarado",
    "anthropic/messages.py": "Segundo buscar_tempo.* 25°C, ensolarado(.|\n)* 10 11 12",
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_unchanged(started: tuple[Path, int, str], example: str) -> None:
    run_example(started, "sh" if example.endswith(".sh") else sys.executable, example)


@pytest.mark.parametrize("example", ["openai/chat.py", "openai/async_chat.py"])
def test_an_example_of_the_openai_sdk_runs_in_the_environment_of_the_proxy(
    started: tuple[Path, int, str], example: str
) -> None:
    run_example(started, str(BIN / "python"), example)


def run_example(started: tuple[Path, int, str], program: str, example: str) -> None:
    folder, port, printed = started
    simulator = re.search(r"simulator on (\S+)", printed)
    assert simulator
    Simulator(simulator[1], {}).configure(first_token_delay=0, cadence=0)
    environ = os.environ | {"PROXY_URL": f"http://127.0.0.1:{port}"}
    command = [program, str(ROOT / "examples" / example)]
    ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert re.search(EXAMPLES[example], ran.stdout)
