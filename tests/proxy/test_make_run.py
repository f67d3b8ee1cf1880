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

from .conftest import BIN, ROOT, free_port, process, wait_for


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


@pytest.mark.parametrize(
    ("command", "shows"),
    [
        ([sys.executable, "examples/openai_chat.py"], "25°C, ensolarado"),
        ([str(BIN / "python"), "examples/openai_chat.py"], "25°C, ensolarado"),
        ([sys.executable, "examples/pydantic_ai_agent.py"], "Tool calls: 1"),
        (["sh", "examples/curl.sh"], '"finish_reason":"tool_calls"'),
    ],
    ids=["openai_chat", "openai_chat in the proxy's environment", "pydantic_ai_agent", "curl"],
)
def test_an_example_runs_unchanged(started: tuple[Path, int, str], command: list[str], shows: str) -> None:
    folder, port, _ = started
    shutil.copytree(ROOT / "examples", folder / "examples", dirs_exist_ok=True)
    environ = os.environ | {"PROXY_URL": f"http://127.0.0.1:{port}"}
    ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert shows in ran.stdout
