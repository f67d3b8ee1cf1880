"""What `run` finds before it loads LiteLLM, and what it shows of a proxy's output."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from custom_handler.cli import main
from custom_handler.cli.run import run
from custom_handler.cli.run.folder import ensure_key, read_dotenv
from custom_handler.cli.run.greeting import greeting
from custom_handler.cli.run.preflight import Startable, require_startable
from custom_handler.cli.run.process import Child
from custom_handler.proxy.playground_code import VARIABLE, PlaygroundCode
from custom_handler.settings import all_fields

ROOT = Path(__file__).resolve().parents[1]
MODEL = "model_list: [{model_name: stackspot-chat, litellm_params: {model: stackspot/chat}}]\n"
KEY = "sk-canary-of-a-master-key"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a configuration and a key, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in {*(item.metadata["name"] for item in all_fields()), "LITELLM_MASTER_KEY", "PORT"}:
        for known in (name, f"STACKSPOT_{name}"):
            monkeypatch.setenv(known, "")  # so that it is put back as it was
            monkeypatch.delenv(known)
    monkeypatch.setattr(os, "environ", os.environ.copy())  # what `.env` adds does not stay
    (tmp_path / "config.yaml").write_text(MODEL, encoding="utf-8")
    (tmp_path / ".env").write_text(f"LITELLM_MASTER_KEY={KEY}\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def look(port: int) -> Startable:
    """Do what `run` does before it starts anything."""
    read_dotenv(Path.cwd())
    start = require_startable("127.0.0.1", port, Path("config.yaml"))
    ensure_key(Path.cwd(), start.config)
    return start


def refused(*arguments: str) -> str:
    """Run, and return the one line that is printed."""
    told = CliRunner().invoke(main, ["run", *arguments])
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.count("\n") == 1
    return told.stderr.removeprefix("Error: ").rstrip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model_list:\n  - a: b\n c: d\n", "config.yaml, line 3 is not YAML"),
        ("", "config.yaml holds no configuration"),
        ("model_list", "config.yaml holds no configuration"),
        ("litellm_settings: {}", "config.yaml has no models"),
        ("model_list: []", "config.yaml has no models"),
        ("model_list: text", "model_list of config.yaml is not a list"),
        ("model_list: [text]", "model_list of config.yaml is not a list"),
        ("model_list: [{model_name: a, litellm_params: text}]", r"config.yaml, model_list\[0\] has no litellm_params"),
        (MODEL + "general_settings: text", "general_settings of config.yaml is not a mapping"),
        (None, "There is no config.yaml: `stackspot-litellm init` writes one"),
    ],
)
def test_an_unusable_configuration_is_a_one_line_error(folder, text, said):
    (folder / "config.yaml").unlink()
    if text is not None:
        (folder / "config.yaml").write_text(text, encoding="utf-8")
    assert re.match(said, refused())


@pytest.mark.parametrize("text", ["include: [more.yaml]", "general_settings: {store_model_in_db: true}"])
def test_models_may_come_from_elsewhere(folder, port, text):
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    assert look(port).models == ()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("STACKSPOT_TIMEOUT", "abc", "STACKSPOT_TIMEOUT is 'abc': give a number of seconds above zero."),
        ("STACKSPOT_UPLOADS", "maybe", "STACKSPOT_UPLOADS is 'maybe': say true or false."),
        ("JOBS_WORKERS", "1.5", "JOBS_WORKERS is '1.5': give a whole number above zero."),
        ("CLIENT_SECRET_FILE", "nowhere", "The file that CLIENT_SECRET_FILE names cannot be read"),
    ],
)
def test_an_unusable_setting_is_a_one_line_error(folder, port, name, value, said):
    with (folder / ".env").open("a", encoding="utf-8") as file:
        file.write(f"{name}={value}\n")
    assert said in refused("--port", str(port))


def test_a_binary_dotenv_is_a_one_line_error(folder, port):
    (folder / ".env").write_bytes(b"\xff\xfe")
    assert re.match(r"\S+\.env cannot be read \(UnicodeDecodeError\): ", refused("--port", str(port)))


def test_a_used_port_is_a_one_line_error(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert refused("--port", str(taken)).startswith(
            f"Port {taken} of 127.0.0.1 cannot be used (Address already in use): stop"
        )


def test_a_host_of_another_machine_is_a_one_line_error(folder, port):
    assert refused("--host", "203.0.113.7", "--port", str(port)).startswith(
        "203.0.113.7 is not an address of this machine"
    )


@pytest.mark.parametrize("text", ["LITELLM_MASTER_KEY=\nREALM=mine\n", "REALM=mine\n", None])
@pytest.mark.parametrize("exported", [None, ""])
def test_a_master_key_that_is_missing_is_filled_in(folder, port, capsys, text, exported):
    (folder / ".env").unlink()
    if text is not None:
        (folder / ".env").write_text(text, encoding="utf-8")
    if exported is not None:
        os.environ["LITELLM_MASTER_KEY"] = exported
    look(port)
    key = os.environ["LITELLM_MASTER_KEY"]
    written = (folder / ".env").read_text(encoding="utf-8")
    assert re.fullmatch(r"sk-[\w-]{40,}", key)
    assert f"LITELLM_MASTER_KEY={key}\n" in written
    assert text is None or "REALM=mine\n" in written
    assert re.match("Wrote .*LITELLM_MASTER_KEY", told := capsys.readouterr().out)
    assert key not in told


def test_the_key_of_dotenv_wins_over_an_empty_one_of_the_environment(folder, port):
    os.environ["LITELLM_MASTER_KEY"] = ""
    look(port)
    assert os.environ["LITELLM_MASTER_KEY"] == KEY


def test_a_key_that_the_configuration_holds_is_enough(folder, port):
    (folder / ".env").write_text("", encoding="utf-8")
    (folder / "config.yaml").write_text(MODEL + "general_settings: {master_key: sk-mine}", encoding="utf-8")
    look(port)
    assert (folder / ".env").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize(
    ("model", "lacks"),
    [
        ("{model: stackspot/chat}", ("REALM", "GENAI_AGENT_ID")),
        ("{model: stackspot/01ARZ3NDEKTSV4RRFFQ69G5FAV}", ("REALM",)),
        ("{model: groq/llama}", ()),
    ],
)
def test_a_stackspot_model_without_a_setting_needs_a_simulator(folder, port, model, lacks):
    text = f"model_list: [{{model_name: a, litellm_params: {model}}}]"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    os.environ.update({"CLIENT_ID": "a", "CLIENT_SECRET": "b"})
    assert look(port).missing() == lacks


def test_the_greeting_shows_the_models_and_where_the_key_is(folder, port):
    (folder / "config.yaml").write_text((ROOT / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    told = greeting(look(port), folder, "127.0.0.1", port)
    assert re.search(rf"API +http://127.0.0.1:{port}/v1, key: LITELLM_MASTER_KEY in .env\n", told)
    assert f"http://127.0.0.1:{port}/playground\n" in told
    assert re.search(r"Models +stackspot-chat \(a simulator answers\)", told)
    assert re.search(r"Disabled +chat/llama-small \(GROQ_API_KEY\), ", told)
    assert KEY not in told
    code = told.partition("Python of this environment:\n\n")[2]
    assert len(code.strip().splitlines()) == 5
    compile(code, "greeting", "exec")


def test_the_greeting_reads_an_exported_key_from_there(folder, port):
    os.environ["LITELLM_MASTER_KEY"] = "sk-other"
    os.environ["STACKSPOT_SERVICES"] = "false"
    told = greeting(look(port), folder, "::1", port)
    assert f"http://[::1]:{port}/v1, key: LITELLM_MASTER_KEY of the environment\n" in told
    assert 'Bearer $LITELLM_MASTER_KEY"' in told
    assert 'os.environ["LITELLM_MASTER_KEY"]' in told
    assert "playground" not in told


class Served:
    """A proxy that is ready at once, and what `run` started it with."""

    environ: Mapping[str, str]

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        del command
        type(self).environ = environ

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop nothing."""

    def wait_until_ready(self, host: str, port: int) -> bool:
        return bool(host and port)

    def show_all(self) -> None:
        """Show nothing."""

    def wait(self) -> int:
        return 0


def printed_by_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str, port: int, *, terminal: bool
) -> tuple[str, list[bool]]:
    """Return what `run` prints, and what its proxy says to the code in it, twice."""
    redeemed = []

    class Redeeming(Served):
        def wait(self) -> int:
            monkeypatch.setenv(VARIABLE, self.environ.get(VARIABLE, ""))
            found = re.search(r"#code=([\w-]+)\n", printed := capsys.readouterr().out)
            code = found[1] if found else ""
            redeemed.extend(PlaygroundCode.of_this_process().redeem(code) for _ in range(2))
            print(printed)
            return 0

    monkeypatch.setattr("custom_handler.cli.run.Child", Redeeming)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    assert run(host, port, Path("config.yaml")) == 0
    folder = Redeeming.environ.get(VARIABLE)
    assert folder is None or not Path(folder).parent.exists(), "nothing is left behind"
    return capsys.readouterr().out, redeemed


def test_on_a_terminal_the_address_of_the_playground_opens_it_once(folder, port, monkeypatch, capsys):
    printed, redeemed = printed_by_run(monkeypatch, capsys, "127.0.0.1", port, terminal=True)
    assert re.search(rf"Playground +http://127.0.0.1:{port}/playground#code=[\w-]{{32}}\n +\(opens without", printed)
    assert redeemed == [True, False]
    assert KEY not in printed


@pytest.mark.parametrize(
    ("terminal", "services"), [(False, "true"), (True, "false")], ids=["not on a terminal", "without the playground"]
)
def test_where_no_person_could_use_a_code_none_is_issued(folder, port, monkeypatch, capsys, terminal, services):
    os.environ["STACKSPOT_SERVICES"] = services
    printed, redeemed = printed_by_run(monkeypatch, capsys, "127.0.0.1", port, terminal=terminal)
    assert ("/playground\n" in printed) is (services == "true")
    assert "code" not in printed
    assert redeemed == [False, False]


def test_a_proxy_of_all_addresses_is_opened_by_that_of_this_machine(folder, port, monkeypatch, capsys):
    printed, redeemed = printed_by_run(monkeypatch, capsys, "0.0.0.0", port, terminal=True)
    assert f"http://127.0.0.1:{port}/playground#code=" in printed
    assert redeemed == [True, False]


LOADING = """
import sys, time
print("BANNER", flush=True)
print("02:41:22 - LiteLLM Proxy:WARNING: a.py:1 - a warning", file=sys.stderr)
print("2026-11-28 02:41:22,658 INFO [-] custom_handler.api: ours", file=sys.stderr)
print("02:41:22 - LiteLLM Proxy:ERROR: a.py:1 - a real error", file=sys.stderr)
"""
SERVING = """
import socket
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
server.accept()[0].close()
server.accept()[0].close()
server.close()
print("INFO:     Uvicorn running on http://127.0.0.1 (Press CTRL+C to quit)")
print('INFO:     127.0.0.1:1 - "POST /chat HTTP/1.1" 200 OK')
"""
STUBBORN = """
import signal, socket
signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
server.accept()[0].close()
time.sleep(600)
"""
DYING = """
print("Thank you for using LiteLLM!")
print("ERROR:    Traceback (most recent call last):\\n  File of uvicorn's log", file=sys.stderr)
def fail():
    try:
        raise ValueError("inner")
    except ValueError as error:
        raise RuntimeError("the reason\\nits second line") from error
fail()
"""


@pytest.fixture
def child(port):
    def start(script: str) -> Child:
        return Child([sys.executable, "-c", LOADING + script, str(port)], os.environ)

    return start


def test_startup_output_is_held_back_except_errors_and_ours(child, port, capfd):
    with child(SERVING) as running:
        assert running.wait_until_ready("127.0.0.1", port)
        print("READY", flush=True)
        running.show_all()
        socket.create_connection(("127.0.0.1", port)).close()
        assert running.wait() == 0
    out, err = capfd.readouterr()
    assert out.splitlines() == ["READY", 'INFO:     127.0.0.1:1 - "POST /chat HTTP/1.1" 200 OK']
    assert [line.rpartition(" ")[2] for line in err.splitlines()] == ["ours", "error"]


def test_a_proxy_that_exits_early_shows_the_reason(child, port, capfd):
    with child(DYING) as running:
        assert not running.wait_until_ready("127.0.0.1", port)
        running.show_held()
        assert running.wait() == 1
    err = capfd.readouterr().err
    assert err.endswith("ValueError: inner\nRuntimeError: the reason\nits second line\n")
    assert "a warning" in err
    for noise in ("Traceback", "Thank you", "File "):
        assert noise not in err


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_while_the_proxy_loads_ends_both(child, port, number, error):
    with child("time.sleep(600)") as running:
        signal.raise_signal(number)
        with pytest.raises(error):
            running.wait_until_ready("127.0.0.1", port)
    assert not alive(running)


def test_a_second_ctrl_c_kills_a_proxy_that_does_not_stop(child, port):
    with child(STUBBORN) as running:
        assert running.wait_until_ready("127.0.0.1", port)
        signal.raise_signal(signal.SIGINT)
        assert running.wait() == 0
        assert alive(running)
        threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    assert not alive(running)


def alive(running: Child) -> bool:
    return running._process.poll() is None
