"""The steps of the Dockerfile's last stage in a plain folder: what it copies, started as it says, is well by its own health check."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import BIN, ROOT, free_port, process, wait_for
from tests.support.proxy import MASTER_KEY, Simulator

LAST = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2].replace("\\\n", "")
SOURCES = re.findall(r"^COPY (?:--from=built /srv/stackspot/)?([\w.]+) \S+$", LAST, re.MULTILINE)
SET = dict(re.findall(r"(\S+?)=(\S+)", re.search(r"^ENV (.*)$", LAST, re.MULTILINE)[1]))
HEALTH, START = (json.loads(found) for found in re.findall(r"\bCMD (\[.*\])$", LAST, re.MULTILINE))
WRITABLE = {Path(path).name for path in json.loads(re.search(r"^VOLUME (.*)$", LAST, re.MULTILINE)[1])}


@pytest.fixture(scope="module")
def container(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder of a running container, as it were, and the port that it serves."""
    folder, temporary = tmp_path_factory.mktemp("image"), tmp_path_factory.mktemp("tmp")
    for name in SOURCES:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    environ = {name: value.replace("/tmp", str(temporary)) for name, value in SET.items() if name != "PATH"}
    # config.yaml names the last two; without bytecode, because a read-only file system takes none.
    environ |= {
        "LITELLM_MASTER_KEY": MASTER_KEY,
        "AWS_REGION": "us-east-1",
        "BEDROCK_MODEL_ID": "amazon.nova-micro-v1:0",
    }
    environ |= {"STARTUP_CHECK": "off", "PYTHONDONTWRITEBYTECODE": "1"} | simulator_process.environ
    port, log = str(free_port()), temporary / "log"
    program, *arguments = (port if argument == "4000" else argument for argument in START)
    with process([str(BIN / program), *arguments, "--host", "127.0.0.1"], log, cwd=folder, **environ) as running:
        wait_for(log, "Uvicorn running on", running)
        yield folder, port


def test_it_is_well_by_its_own_health_check(container: tuple[Path, str]) -> None:
    command = [str(BIN / HEALTH[0]), *(argument.replace(":4000/", f":{container[1]}/") for argument in HEALTH[1:])]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert checked.returncode == 0, checked.stderr


def test_it_writes_into_its_volumes_only(container: tuple[Path, str]) -> None:
    folder, _ = container
    assert {file.name for file in folder.iterdir()} <= {*SOURCES, *WRITABLE}
    copied = {name: {file.relative_to(ROOT) for file in (ROOT / name).rglob("*")} for name in SOURCES}
    assert all({file.relative_to(folder) for file in (folder / name).rglob("*")} <= copied[name] for name in SOURCES)
