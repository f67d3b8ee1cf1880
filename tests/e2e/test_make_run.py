"""What `make run` starts, on a folder that has no `.env` yet, and the examples that a new user runs next."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.support.processes import BIN, ROOT, START_SECONDS, free_port, process, wait_for
from tests.support.proxy import WEB, Simulator
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int, str]]:
    """A first start: its folder, its port and what it printed. Its end must leave nothing running."""
    folder, port = tmp_path_factory.mktemp("first-start"), free_port()
    shutil.copy(ROOT / "config.yaml", folder)
    log = folder / "log"
    command = [str(BIN / "python"), "-m", "custom_handler", "run", "--port", str(port)]
    with process(command, log, cwd=folder, PYTHONPATH=str(ROOT)) as running:
        wait_for(log, r"Ready after \d+\.\d s\.(.|\n)*print\(.*\n", running)
        yield folder, port, log.read_text()
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(START_SECONDS) == 0
        simulator = re.search(r"simulator on (\S+)", log.read_text())
        assert simulator
        for url in (simulator[1], f"http://127.0.0.1:{port}"):
            assert subprocess.run(["curl", "-s", url], capture_output=True, check=False).returncode == 7, "still there"


def test_the_first_start_writes_env_with_a_strong_key_that_only_its_owner_can_read(
    first_start: tuple[Path, int, str],
) -> None:
    folder, _, _ = first_start
    env = folder / ".env"
    assert re.search(r"^LITELLM_MASTER_KEY=sk-[\w-]{40,}$", env.read_text(), re.MULTILINE)
    assert env.stat().st_mode & 0o077 == 0


def test_only_this_machine_can_reach_it(first_start: tuple[Path, int, str]) -> None:
    _, port, printed = first_start
    assert re.search(rf"API +http://127.0.0.1:{port}/v1, key: LITELLM_MASTER_KEY in .env\n", printed)
    with socket.socket() as other:  # an address of this machine, too, which 0.0.0.0 would have taken
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_nothing_of_litellms_banner_and_warnings_is_seen(first_start: tuple[Path, int, str]) -> None:
    _, _, printed = first_start
    for noise in ("█", "Thank you for using", "Give Feedback", "Uvicorn running", "LiteLLM Proxy:WARNING", "Deprecat"):
        assert noise not in printed


def test_what_the_proxy_logs_when_it_is_ready_is_seen(first_start: tuple[Path, int, str]) -> None:
    folder, port, _ = first_start
    WEB.get(f"http://127.0.0.1:{port}/health/liveliness").raise_for_status()
    eventually(lambda: '"GET /health/liveliness HTTP/1.1" 200' in (folder / "log").read_text(errors="replace"))


def test_each_address_that_it_prints_answers(first_start: tuple[Path, int, str]) -> None:
    _, _, printed = first_start
    addresses = dict(re.findall(r"^    (\w+) +(http://\S+?)(?:,|$)", printed, re.MULTILINE))
    assert list(addresses) == ["API", "Playground", "Documentation"]
    for address in (addresses["Playground"], addresses["Documentation"]):
        assert "<html" in WEB.get(address, headers={"Accept": "text/html"}).text.lower()


def test_the_python_that_it_prints_answers(first_start: tuple[Path, int, str]) -> None:
    folder, _, printed = first_start
    code = printed.partition("Python of this environment:\n\n")[2].partition("\n\n")[0]
    answer = subprocess.run([str(BIN / "python"), "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert answer.stdout.strip()


@pytest.mark.parametrize("command", [["models"], ["chat", "--model", "stackspot-chat", "--user", "Oi"]])
@pytest.mark.parametrize("there", [True, False])
def test_a_command_without_credentials_asks_the_proxy_of_this_machine_else_a_simulator(
    first_start: tuple[Path, int, str], command: list[str], there: bool
) -> None:
    folder, port, _ = first_start
    port = port if there else free_port()
    environ = os.environ | {"PORT": str(port), "PYTHONPATH": str(ROOT)}
    program = [str(BIN / "python"), "-m", "custom_handler", *command]
    told = subprocess.run(program, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "stackspot" in told.stdout
    assert (
        f"asking the proxy on http://127.0.0.1:{port}." in told.stderr
        if there
        else "a simulator answers" in told.stderr
    )


def test_it_says_in_one_line_that_a_simulator_answers(first_start: tuple[Path, int, str]) -> None:
    _, _, printed = first_start
    [line] = [line for line in printed.splitlines() if "simulator on http://127.0.0.1:" in line]
    assert "CLIENT_ID, CLIENT_SECRET, REALM, GENAI_AGENT_ID not set" in line


def test_the_curl_that_it_prints_works_when_pasted(first_start: tuple[Path, int, str]) -> None:
    folder, _, printed = first_start
    [command] = [line for line in printed.splitlines() if line.startswith("curl ")]
    answer = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert '"role":"assistant"' in answer


def test_nothing_that_it_prints_holds_the_key(first_start: tuple[Path, int, str]) -> None:
    folder, _, printed = first_start
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
    "google_genai/chat.py": "1 2 3 4 5 6 7 8 9 10 11 12\n.*Tempo em S.*25.*C, ensolarado",
    "anthropic/messages.py": "Segundo buscar_tempo.* 25°C, ensolarado(.|\n)* 10 11 12",
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_unchanged(first_start: tuple[Path, int, str], example: str) -> None:
    run_example(first_start, "sh" if example.endswith(".sh") else sys.executable, example)


@pytest.mark.parametrize("example", ["openai/chat.py", "openai/async_chat.py"])
def test_an_example_of_the_openai_sdk_runs_in_the_environment_of_the_proxy(
    first_start: tuple[Path, int, str], example: str
) -> None:
    run_example(first_start, str(BIN / "python"), example)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_takes_the_key_from_the_environment_first(
    first_start: tuple[Path, int, str], example: str, tmp_path: Path
) -> None:
    folder, port, printed = first_start
    key = re.search(r"^LITELLM_MASTER_KEY=(.+)$", (folder / ".env").read_text(), re.MULTILINE)
    assert key
    (tmp_path / ".env").write_text("LITELLM_MASTER_KEY=sk-of-another-proxy\n")
    program = "sh" if example.endswith(".sh") else sys.executable
    run_example((tmp_path, port, printed), program, example, LITELLM_MASTER_KEY=key[1])


def run_example(first_start: tuple[Path, int, str], program: str, example: str, **own: str) -> None:
    folder, port, printed = first_start
    simulator = re.search(r"simulator on (\S+)", printed)
    assert simulator
    Simulator(simulator[1], MappingProxyType({})).configure(first_token_delay=0, cadence=0)
    environ = os.environ | {"PROXY_URL": f"http://127.0.0.1:{port}"} | own
    command = [program, str(ROOT / "examples" / example)]
    ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert re.search(EXAMPLES[example], ran.stdout)


@pytest.mark.parametrize("everyone", [True, False], ids=["a terminal's Ctrl-C", "a signal to the command alone"])
def test_ctrl_c_while_litellm_is_loaded_leaves_no_traceback_and_no_process(tmp_path: Path, everyone: bool) -> None:
    shutil.copy(ROOT / "config.yaml", tmp_path)
    log = tmp_path / "log"
    command = [str(BIN / "python"), "-m", "custom_handler", "run", "--port", str(free_port())]
    with process(command, log, cwd=tmp_path, PYTHONPATH=str(ROOT)) as running:
        wait_for(log, "Starting LiteLLM", running)
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
        eventually(lambda: bool(children.read_text()))
        [child] = children.read_text().split()
        eventually(lambda: "/pydantic_core/" in Path(f"/proc/{child}/maps").read_text())
        (os.killpg if everyone else os.kill)(running.pid, signal.SIGINT)
        assert running.wait(START_SECONDS) == 130
        assert not Path(f"/proc/{child}").exists()
    assert "Traceback" not in log.read_text()
    assert "Ready" not in log.read_text()


def test_a_proxy_that_does_not_start_says_why_without_a_traceback(tmp_path: Path) -> None:
    text = (ROOT / "config.yaml").read_text().replace("model: stackspot-chat\n", "model: no-such-provider/a\n")
    (tmp_path / "config.yaml").write_text(text.replace("      custom_llm_provider: stackspot\n", ""))
    log = tmp_path / "log"
    command = [str(BIN / "python"), "-m", "custom_handler", "run", "--port", str(free_port())]
    with process(command, log, cwd=tmp_path, PYTHONPATH=str(ROOT), STARTUP_CHECK="strict") as running:
        assert running.wait(START_SECONDS) not in {0, 130}
    told = log.read_text()
    assert "The proxy exited before it was ready." in told
    assert "no-such-provider" in told
    assert "Traceback" not in told
    assert "simulator on" not in told
