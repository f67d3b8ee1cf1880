"""The wheel in an empty environment and an empty folder, outside of the checkout: from `init` to a chat that answers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import BIN, ROOT, free_port, process, wait_for
from tests.support.proxy import WEB

SOURCES = ("custom_handler", "setup.py", "MANIFEST.in", "pyproject.toml", "README.md", "LICENSE", "config.yaml")

TESTED = ("api", "report", "telemetry")  # these import most modules, read the data files and start the simulator


def ran(*command: str | Path, cwd: Path) -> str:
    """Run a command of a new shell, and return what it prints."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by way of the source distribution, as for a release."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in (*SOURCES, ".env.example", *(file.name for file in ROOT.glob("requirements*.txt"))):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    (source / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "errors.md", source / "docs")
    ran(BIN / "python", "-m", "build", "--no-isolation", "--outdir", target, source, cwd=source)
    [found] = target.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def bin_of(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but the wheel; its dependencies are those of `.venv`, to spare a minute of pip."""
    venv = tmp_path_factory.mktemp("environment")
    ran(BIN / "python", "-m", "venv", "--without-pip", venv, cwd=venv)
    python = venv / "bin" / "python"
    ran(BIN / "python", "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=venv)
    dependencies = ran(BIN / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=venv).strip()
    own = ran(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=venv).strip()
    Path(own, "dependencies.pth").write_text(f"{dependencies}\n")
    where = ran(python, "-c", "import custom_handler; print(custom_handler.__file__)", cwd=venv)
    assert where.startswith(own), "it is not that of the wheel"
    return venv / "bin"


@pytest.fixture(scope="module")
def initialized(bin_of: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    empty = tmp_path_factory.mktemp("empty")
    assert ran(bin_of / "stackspot-litellm", "init", cwd=empty).startswith("Wrote config.yaml\nWrote .env\n")
    return empty


def test_the_files_of_the_wheel_are_those_of_the_project(initialized: Path) -> None:
    assert (initialized / "config.yaml").read_bytes() == (ROOT / "config.yaml").read_bytes()
    written = re.sub("(?m)^(LITELLM_MASTER_KEY=).+$", r"\1", (initialized / ".env").read_text())
    assert written == (ROOT / ".env.example").read_text()


def test_the_wheel_has_the_page_that_errors_link_to(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        assert files.read("custom_handler/templates/errors.md") == (ROOT / "docs" / "errors.md").read_bytes()


def test_the_unit_tests_of_what_the_wheel_holds_pass(bin_of: Path, tmp_path: Path) -> None:
    """In a folder without the checkout's package, so that each `import custom_handler` finds the installed one."""
    ignored = shutil.ignore_patterns("__pycache__", "e2e", "clients")
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=ignored)
    for name in ("pyproject.toml", "config.yaml", ".env.example"):
        shutil.copy(ROOT / name, tmp_path)
    folders = [Path("tests", name) for name in TESTED]
    options = ("--numprocesses", "2", "--dist", "loadfile", "-m", "not slow")
    printed = ran(bin_of / "python", "-m", "pytest", *options, *folders, cwd=tmp_path)
    assert re.search(r"(?m)^\d{3,} passed", printed), printed


@pytest.fixture(scope="module")
def wheel_url(bin_of: Path, initialized: Path) -> Iterator[str]:
    port, log = free_port(), initialized / "log"
    command = [str(bin_of / "stackspot-litellm"), "run", "--port", str(port)]
    with process(command, log, cwd=initialized, HOME=str(initialized)) as running:
        wait_for(log, r"Ready after \d", running)
        yield f"http://127.0.0.1:{port}"
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(120) == 0


def test_the_proxy_of_the_wheel_answers_a_chat(wheel_url: str, initialized: Path) -> None:
    key = re.search("(?m)^LITELLM_MASTER_KEY=(.+)$", (initialized / ".env").read_text())
    assert key
    question = {"model": "stackspot-chat", "messages": [{"role": "user", "content": "Quem é você?"}]}
    answer = WEB.post(f"{wheel_url}/v1/chat/completions", json=question, headers={"Authorization": f"Bearer {key[1]}"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"]


def test_the_command_line_of_the_wheel_answers_a_chat(wheel_url: str, bin_of: Path, initialized: Path) -> None:
    told = ran(
        bin_of / "stackspot-litellm",
        "chat",
        "--url",
        wheel_url,
        "--model",
        "stackspot-chat",
        "--user",
        "Oi",
        cwd=initialized,
    )
    assert '"provider": "stackspot"' in told
