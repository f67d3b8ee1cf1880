"""The command line, in process: what it prints, and its exit codes."""

from __future__ import annotations

import json
import re

import pytest

# LiteLLM looks at every attribute of a delta, those that Pydantic has deprecated too.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")


@pytest.mark.parametrize("name", ["", "models", "chat", "check", "report", "simulate", "run"])
def test_every_command_has_a_help_text(command, name):
    told = command(*filter(None, [name]), "--help")
    assert told.exit_code == 0
    assert re.search(r"Usage: .*\n\n  [A-Z]", told.output)


def test_models_are_listed_without_a_proxy(command):
    told = command("models")
    assert told.exit_code == 0
    assert told.output.splitlines() == [
        "NAME              PROVIDER   MODEL",
        "stackspot-chat    stackspot  stackspot-chat",
        "chat/llama-small  groq       llama-3.1-8b-instant",
    ]
    assert [model["name"] for model in json.loads(command("models", "--json").output)] == [
        "stackspot-chat",
        "chat/llama-small",
    ]


def test_an_answer_is_told_with_metrics_and_usage(command, simulator):
    simulator.script({"text": "Olá!", "tokens": {"input": 4, "output": 2}})
    told = command(
        "chat", "--model", "stackspot-chat", "--user", "Oi", "--system", "Seja breve", "--correlation-id", "c-1"
    )
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout)
    assert (answer["content"], answer["reply"], answer["model"], answer["provider"]) == (
        "Olá!",
        "Olá!",
        "stackspot-chat",
        "stackspot",
    )
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (4, 2)
    assert answer["metrics"]["latency_ms"] >= answer["metrics"]["time_to_first_token_ms"] > 0
    asked = simulator.requests()[-1]
    assert "Seja breve" in asked["prompt"]
    assert asked["headers"]["correlation-id"] == "c-1"


def test_a_call_from_the_command_line_is_written_down(command, simulator, folder):
    simulator.script({"text": "canary-answer"})
    answer = json.loads(command("chat", "--model", "stackspot-chat", "--user", "canary-question").stdout)
    (file,) = folder.glob("runs/2*/interactions.jsonl")
    (line,) = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert (line["request_id"], line["status"], line["provider"]) == (answer["request_id"], 200, "stackspot")
    assert "canary" not in file.read_text(encoding="utf-8")


def test_a_stream_is_readable_text(command, simulator):
    simulator.script({"pieces": ["Um", ", dois", ", três."]})
    told = command("chat", "--model", "stackspot-chat", "--user", "Conte", "--stream")
    assert (told.exit_code, told.stdout) == (0, "Um, dois, três.\n")


def test_a_stream_can_be_lines_of_json(command, simulator):
    simulator.script({"text": "Um, dois."})
    told = command("chat", "--model", "stackspot-chat", "--user", "Conte", "--stream", "--json")
    *pieces, whole = map(json.loads, told.stdout.splitlines())
    assert "".join(piece["delta"] for piece in pieces) == whole["content"] == "Um, dois."


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["chat", "--model", "chat/llama-small", "--user", "Oi"], 1, "GROQ_API_KEY"),
        (["chat", "--model", "no-such-model", "--user", "Oi"], 1, "no-such-model"),
        (["chat", "--user", "Oi"], 2, "--model"),
        (["chat", "--model", "a", "--user", "Oi", "--config", "nowhere.yaml"], 1, "nowhere.yaml cannot be read"),
        (["models", "--url", "http://127.0.0.1:9"], 1, "No proxy answers at http://127.0.0.1:9"),
        (["models", "--url", "localhost:4000"], 2, "begins as http://127.0.0.1:4000 does"),
        (["nothing"], 2, "No such command"),
    ],
    ids=["no key", "no model", "an option missing", "no file", "no proxy", "no address", "no command"],
)
def test_a_failure_has_an_exit_code_and_one_clear_line(command, arguments, code, said):
    told = command(*arguments)
    assert told.exit_code == code
    assert said in told.stderr
    assert "Traceback" not in told.output


def test_a_refusal_of_the_agent_is_told(command, simulator):
    simulator.script({"status": 403})
    told = command("chat", "--model", "stackspot-chat", "--user", "Oi")
    assert (told.exit_code, told.stdout) == (1, "")
    assert "not shared with this account" in told.stderr


def test_a_proxy_is_not_asked_without_a_key(command, folder):
    (folder / ".env").write_text("", encoding="utf-8")
    told = command("models", "--url", "http://127.0.0.1:9")
    assert told.exit_code == 2
    assert "--key" in told.stderr


def test_check_shows_every_setting_and_names_the_faults(command):
    told = command("check")
    assert told.exit_code == 1
    assert re.search(r"^CLIENT_ID +\.env +simulator$", told.output, re.MULTILINE)
    assert re.search(r"^CLIENT_SECRET +\.env +set$", told.output, re.MULTILINE)
    assert re.search(r"^stackspot-chat +stackspot +a token was given$", told.output, re.MULTILINE)
    assert re.search(r"^chat/llama-small +groq +no key$", told.output, re.MULTILINE)
    assert "fault: chat/llama-small has no key: set GROQ_API_KEY in .env." in told.output
    for secret in ("simulator-secret", "sk-canary-master"):
        assert secret not in told.output


def test_check_finds_nothing_where_all_is_well(command, folder):
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(re.sub(r"  - model_name: chat/llama.*\n.*\n", "", text), encoding="utf-8")
    told = command("check")
    assert (told.exit_code, told.output.splitlines()[-1]) == (0, "All is well.")


@pytest.mark.parametrize(("broken", "said"), [("a: [", "is not YAML"), (None, "cannot be read")])
def test_check_tells_a_file_that_cannot_be_used(command, folder, broken, said):
    if broken is None:
        (folder / "config.yaml").unlink()
    else:
        (folder / "config.yaml").write_text(broken, encoding="utf-8")
    told = command("check")
    assert told.exit_code == 1
    assert said in told.output


def test_check_tells_a_setting_that_cannot_be_read(command, folder):
    with (folder / ".env").open("a", encoding="utf-8") as file:
        file.write("STARTUP_CHECK=maybe\n")
    told = command("check")
    assert told.exit_code == 1
    assert "fault: STARTUP_CHECK is 'maybe': say off, warn or strict." in told.output


def test_colours_are_for_terminals(command, monkeypatch):
    assert "\x1b[" not in command("check").output
    assert "\x1b[" in command("check", color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in command("check", color=True).output


def test_a_run_is_reported_as_a_table_and_a_page(command, simulator, folder):
    simulator.script({"text": "Oi", "tokens": {"input": 4, "output": 2}})
    command("chat", "--model", "stackspot-chat", "--user", "Oi")
    told = command("report")
    assert told.exit_code == 0, told.output
    assert re.search(r"^stackspot-chat +1 +0 +\d+ ", told.output, re.MULTILINE)
    (page,) = folder.glob("runs/2*/report.html")
    assert "stackspot-chat" in page.read_text(encoding="utf-8")
    assert command("report", "--output", "there.html").exit_code == 0
    assert (folder / "there.html").exists()
    refused = command("report", "--output", "nowhere/there.html")
    assert (refused.exit_code, "cannot be written to nowhere/there.html" in refused.output) == (1, True)


def test_a_run_that_is_not_there_is_an_error(command):
    told = command("report", "nothing")
    assert told.exit_code == 1
    assert "no run 'nothing'" in told.stderr
