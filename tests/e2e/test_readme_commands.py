"""Each command of the READMEs and user guides, pasted into a new shell of a checkout; others have a reason here."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT, free_port, process, wait_for
from tests.support.proxy import Simulator

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(
    r"(\.venv|\.venv-clients|\.clients/\w+)/bin/|(python3?|py|pip|litellm|make|sh|curl|docker|kubectl|npm|export|set) "
)

# What serves until it is ended is started for its help only; the proxy of this test is one of them.
SERVES = re.compile(r"\.venv/bin/(litellm|python -m custom_handler (run|worker))\b")
RUNS = re.compile(
    r"(sh examples/curl|curl http(?!.*web_search)|"
    r"\.venv(-clients)?/bin/python (examples/|-c |-m custom_handler|hello\.py)|export |set |make help)"
)
ELSEWHERE = {
    r"make (?!help)": "installs or runs for minutes; the targets are compared with the Makefile by another test",
    r"docker |kubectl ": "needs Docker or a cluster",
    r"\.clients/": "`make test-clients` installs it",
    r"sh examples/(cline|copilot_cli|gemini_cli)/": "`make test-clients` installs it",
    r"sh examples/n8n/": "needs n8n, which takes npm minutes to install",
    r"sh examples/goose/": "needs Goose, which its vendor installs",
    r"curl http.*web_search": "needs a search server; test_web_search.py asks the same",
    r"python3 -m venv |\.venv/bin/python -m pip |\.venv/bin/stackspot-litellm ": "installs; the wheel has a test of its own",
    r"curl -N$": "an option, not a command",
}


def found(name: str) -> Iterator[str]:
    """Read the commands of a document: its blocks for the shell, and its code spans that begin with a program."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for language, block in FENCE.findall(text):
        if language == "bash":
            yield from (re.sub(r"\s+#.*", "", line) for line in re.sub(r"\\\n\s*", "", block).splitlines() if line)
    for code in re.findall(r"`([^`]+)`", FENCE.sub("", text)):
        if PROGRAM.match(code):
            yield code.replace(r"\|", "|")


# The guides for operators are not among them: they name programs of other machines.
GUIDES = [
    f"{folder}/{guide}.md"
    for folder in ("docs", "docs/pt-BR")
    for guide in (
        *("quick-start", "clients", "http-api", "compatibility", "models", "keys", "conversations", "cli"),
        *("observability", "agent-setup", "errors"),
    )
]
PAGES = ["README.md", "README.pt-BR.md", *(guide for guide in GUIDES if (ROOT / guide).exists())]
POWERSHELL = [name for name in PAGES if "```powershell" in (ROOT / name).read_text(encoding="utf-8")]
COMMANDS = sorted({command for name in PAGES for command in found(name)})
HERE = [command for command in COMMANDS if RUNS.match(command) or SERVES.match(command)]


def test_each_command_runs_here_or_has_a_reason() -> None:
    assert [one for one in COMMANDS if one not in HERE and not any(re.match(known, one) for known in ELSEWHERE)] == []
    assert [known for known in ELSEWHERE if not any(re.match(known, one) for one in COMMANDS)] == []
    assert len(HERE) > 12


@pytest.mark.parametrize("name", POWERSHELL)
def test_the_lines_for_powershell_are_those_for_the_shell(name: str) -> None:
    assert {"README.md", "README.pt-BR.md", "docs/quick-start.md", "docs/pt-BR/quick-start.md"} == set(POWERSHELL)
    blocks = FENCE.findall((ROOT / name).read_text(encoding="utf-8"))
    [number] = [number for number, (language, _) in enumerate(blocks) if language == "powershell"]
    same = blocks[number][1].replace("py -m venv", "python3 -m venv").replace(".venv\\Scripts\\", ".venv/bin/")
    assert same == blocks[number - 1][1]


@pytest.fixture(scope="module")
def shell(
    simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, int, dict[str, str]]]:
    """A checkout in which the README's `run` serves: its folder, its port, and the environment of a new shell."""
    folder, port = tmp_path_factory.mktemp("checkout"), free_port()
    for name in (".venv", ".venv-clients", "custom_handler", "examples", "config.yaml", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    program = next(
        block for language, block in FENCE.findall((ROOT / "README.md").read_text("utf-8")) if language == "python"
    )
    (folder / "hello.py").write_text(program.replace(":4000", f":{port}"), encoding="utf-8")
    simulator_process.reset()
    own = {"PORT": str(port), "PROXY_URL": f"http://127.0.0.1:{port}", **simulator_process.environ}
    [command] = [one for one in HERE if one.endswith("-m custom_handler run")]
    with process(command.split(), folder / "log", cwd=folder, **own) as running:
        wait_for(folder / "log", r"Ready after \d", running)
        yield folder, port, {"PATH": os.environ["PATH"], "HOME": str(folder), **own}


@pytest.mark.parametrize("command", HERE)
def test_a_command_works_as_pasted(shell: tuple[Path, int, dict[str, str]], command: str) -> None:
    folder, port, environ = shell
    pasted = command.replace("127.0.0.1:4000", f"127.0.0.1:{port}").replace("COMMAND", "chat")
    if SERVES.match(command):
        pasted = f"{command.partition(' 2>&1')[0]} --help"
    if command.startswith("curl"):
        pasted += " --fail-with-body"
    done = subprocess.run(
        ["sh", "-c", pasted], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
