"""What `run` and `init` do before the proxy is loaded, and the values that they write into `.env`."""

from __future__ import annotations

import re
import socket
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from custom_handler.cli import main
from custom_handler.cli.run import init, template
from custom_handler.env_file import ensure_value, with_value
from custom_handler.settings import all_fields

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "model_list:\n  - {model_name: a, litellm_params: {model: stackspot/a}}\n"
ACCOUNT = "CLIENT_ID=a\nCLIENT_SECRET=b\nREALM=c\nGENAI_AGENT_ID=01ARZ3NDEKTSV4RRFFQ69G5FAV\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory, and an environment without the package's settings."""
    monkeypatch.chdir(tmp_path)
    for name in [*(str(item.metadata["name"]) for item in all_fields()), "LITELLM_MASTER_KEY", "PORT"]:
        monkeypatch.setenv(name, "")  # so that it is put back as it was
        monkeypatch.delenv(name)
    return tmp_path


def key_in(folder: Path) -> str:
    found = re.search(r"^LITELLM_MASTER_KEY=(.*)$", (folder / ".env").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return found[1]


def test_init_writes_a_strong_key_only_its_owner_can_read(folder):
    assert init(folder) == [(folder / "config.yaml", True), (folder / ".env", True)]
    assert (folder / "config.yaml").read_bytes() == (ROOT / "config.yaml").read_bytes()
    assert re.fullmatch(r"sk-[\w-]{40,}", key_in(folder))
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert (folder / ".env").read_text(encoding="utf-8").replace(key_in(folder), "") == template(".env.example")


def test_init_keeps_the_files_that_exist(folder):
    (folder / ".env").write_text("LITELLM_MASTER_KEY=mine\n", encoding="utf-8")
    assert init(folder) == [(folder / "config.yaml", True), (folder / ".env", False)]
    assert key_in(folder) == "mine"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "NAME=new\n"),
        ("A=1", "A=1\nNAME=new\n"),
        ("A=1\nNAME=\nB=2\n", "A=1\nNAME=new\nB=2\n"),
        ("# a comment\r\nexport NAME= \r\nB=2\r\n", "# a comment\r\nexport NAME=new\r\nB=2\r\n"),
        ("#NAME=\nOTHER_NAME=\n", "#NAME=\nOTHER_NAME=\nNAME=new\n"),
        ('NAME=""\nB=2', "NAME=new\nB=2"),
        ("A=1\r\nB=2", "A=1\r\nB=2\r\nNAME=new\r\n"),
    ],
    ids=[
        "empty",
        "no end of line",
        "an empty assignment",
        "Windows lines",
        "other names",
        "empty quotes",
        "Windows lines, no end",
    ],
)
def test_a_value_is_filled_in_and_the_rest_stays(before, after):
    assert with_value(before, "NAME", "new") == after


def test_a_link_to_the_file_stays_a_link(tmp_path):
    (tmp_path / "shared").write_text("A=1\n", encoding="utf-8")
    (tmp_path / ".env").symlink_to("shared")
    assert ensure_value(tmp_path / ".env", "NAME", lambda: "new") == ("new", True)
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "shared").read_text(encoding="utf-8") == "A=1\nNAME=new\n"


def test_starts_at_the_same_time_agree_on_one_value(tmp_path):
    file = tmp_path / ".env"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: ensure_value(file, "NAME", lambda: f"value-{number}"), range(8)))
    assert len({value for value, _ in made}) == 1
    assert [written for _, written in made].count(True) == 1
    assert file.read_text(encoding="utf-8") == f"NAME={made[0][0]}\n"


FAULTS = {
    "no configuration": ({}, "There is no config.yaml: `stackspot-litellm init` writes one"),
    "no YAML": ({"config.yaml": "a:\n  - b\n c: ["}, "config.yaml, line 3 is not YAML"),
    "an empty file": ({"config.yaml": ""}, "config.yaml holds no configuration"),
    "no models": ({"config.yaml": "model_list: []"}, "config.yaml has no models"),
    "a wrong type": (
        {"config.yaml": CONFIG, ".env": "STACKSPOT_MAX_CONCURRENCY=many\n"},
        "STACKSPOT_MAX_CONCURRENCY is 'many': give a whole number above zero",
    ),
    "an unknown level": ({"config.yaml": CONFIG, ".env": "LOG_LEVEL=loud\n"}, "LOG_LEVEL is 'loud': say debug"),
    "no keys file": ({"config.yaml": CONFIG, ".env": "KEYS_FILE=no.yaml\n"}, "KEYS_FILE 'no.yaml' cannot be read"),
    "a wrong keys file": (
        {"config.yaml": CONFIG, ".env": "KEYS_FILE=keys.yaml\n", "keys.yaml": "keys: [{name: a, key: short}]"},
        "KEYS_FILE, keys[0] needs either a key of at least 16 characters",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_the_start_before_litellm_is_loaded(folder, fault):
    import subprocess

    files, says = FAULTS[fault]
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    code = (
        "import sys; sys.argv[1:] = ['run']\n"
        "from custom_handler.cli import main\n"
        "try: main()\n"
        "finally: print('litellm' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert ran.stderr.startswith(f"Error: {says}")
    assert ran.stdout == "False\n"


def test_a_port_that_is_taken_is_named_with_another_one(folder):
    from click.testing import CliRunner

    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = CliRunner().invoke(main, ["run"], env={"PORT": str(port)})
    assert ran.exit_code == 2
    assert ran.stderr.count("\n") == 1
    assert f"Port {port} of 127.0.0.1 cannot be used" in ran.stderr
    assert "PORT=" in ran.stderr
