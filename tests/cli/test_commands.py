"""The command line, in process: what it prints, and its exit codes."""

from __future__ import annotations

import json
import re
import socket

import pytest

import custom_handler

# LiteLLM looks at every attribute of a delta, those that Pydantic has deprecated too.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")


@pytest.mark.parametrize(
    "name", ["", "models", "chat", "check", "report", "evaluate", "simulate", "run", "init", "worker", "settings"]
)
def test_every_command_has_a_help_text(command, name):
    told = command(*filter(None, [name]), "--help")
    assert told.exit_code == 0
    assert re.search(r"Usage: .*\n\n  [A-Z]", told.output)


def test_no_help_line_is_cut_off(command):
    told = command("--help").output
    assert "..." not in told.replace("[ARGS]...", "")


def test_the_version_is_that_of_the_package(command):
    assert command("--version").output == f"stackspot-litellm {custom_handler.__version__}\n"


def test_models_are_listed_without_a_proxy(command):
    told = command("models")
    assert told.exit_code == 0
    assert told.output.splitlines() == [
        "NAME            PROVIDER   MODEL",
        "stackspot-chat  stackspot  stackspot-chat",
    ]
    assert [model["name"] for model in json.loads(command("models", "--json").output)] == [
        "stackspot-chat",
    ]


def test_an_answer_is_printed_with_metrics_and_usage(command, simulator):
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


def test_a_call_from_the_command_line_is_recorded(command, simulator, folder):
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
        (
            ["models", "--url", "http://127.0.0.1:9"],
            1,
            "No proxy answers at http://127.0.0.1:9 (ConnectError): is it running?",
        ),
        (
            ["chat", "--url", "http://127.0.0.1:9", "--model", "a", "--user", "Oi"],
            1,
            "No proxy answers at http://127.0.0.1:9 (ConnectError): is it running?",
        ),
        (["models", "--url", "localhost:4000"], 2, "write it as http://127.0.0.1:4000"),
        (["nothing"], 2, "No such command"),
    ],
    ids=[
        "no key",
        "no model",
        "an option missing",
        "no file",
        "no proxy",
        "no proxy to chat with",
        "no address",
        "no command",
    ],
)
def test_a_failure_has_an_exit_code_and_one_clear_line(command, arguments, code, said):
    told = command(*arguments)
    assert told.exit_code == code
    assert said in told.stderr
    assert "Traceback" not in told.output


def test_a_refusal_of_the_agent_is_printed(command, simulator):
    simulator.script({"status": 403})
    told = command("chat", "--model", "stackspot-chat", "--user", "Oi")
    assert (told.exit_code, told.stdout) == (1, "")
    assert "not shared with this account" in told.stderr


def test_a_proxy_is_not_asked_without_a_key(command, folder):
    (folder / ".env").write_text("", encoding="utf-8")
    told = command("models", "--url", "http://127.0.0.1:9")
    assert told.exit_code == 2
    assert "--key" in told.stderr


def test_without_credentials_a_simulator_answers(command, folder, monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PORT", str(nobody.getsockname()[1]))
        (folder / ".env").write_text("LITELLM_MASTER_KEY=sk-canary-master\n", encoding="utf-8")
        ran = command("chat", "--model", "stackspot-chat", "--user", "Count to 3")
    assert (ran.exit_code, json.loads(ran.stdout)["content"]) == (0, "1 2 3")
    assert "a simulator answers" in ran.stderr


def test_check_prints_verdict_models_and_set_settings(command):
    ran = command("check")
    assert ran.exit_code == 0, ran.output
    assert ran.output.startswith("No faults found. 1 of 1 models ready, 1 disabled.\n\nMODEL ")
    assert re.search(r"^stackspot-chat +stackspot +a token was given$", ran.output, re.MULTILINE)
    assert re.search(r"^chat/llama-small +groq +disabled: set GROQ_API_KEY$", ran.output, re.MULTILINE)
    assert re.search(r"^CLIENT_ID +\.env +simulator$", ran.output, re.MULTILINE)
    assert re.search(r"^CLIENT_SECRET +\.env +set$", ran.output, re.MULTILINE)
    assert "STACKSPOT_TIMEOUT" not in ran.output
    assert re.search(r"^STACKSPOT_TIMEOUT +default +600.0$", command("check", "--all").output, re.MULTILINE)
    for secret in ("simulator-secret", "sk-canary-master"):
        assert secret not in command("check", "--all").output + command("check", "--json").output


def test_check_marks_quick_commands_which_ask_does_not_start(command, folder, simulator):
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    entry = "model_list:\n  - {model_name: explain, litellm_params: {model: stackspot/quick-command/explain}}\n"
    (folder / "config.yaml").write_text(text.replace("model_list:\n", entry, 1), encoding="utf-8")
    ran = command("check", "--ask")
    assert re.search(r"^explain +stackspot \(quick command\) +a token was given$", ran.output, re.MULTILINE), ran.output
    assert re.search(r"^stackspot-chat +stackspot +the agent answered$", ran.output, re.MULTILINE)
    assert not simulator.requests(at="execution")
    models = json.loads(command("check", "--json").output)["models"]
    assert [model["kind"] for model in models] == ["quick command", None, None]


def test_check_prints_json(command, folder):
    found = json.loads(command("check", "--json").output)
    assert (found["ok"], found["faults"]) == (True, [])
    assert [(model["model"], model["state"], model["variable"]) for model in found["models"]] == [
        ("stackspot-chat", "a token was given", None),
        ("chat/llama-small", "disabled", "GROQ_API_KEY"),
    ]
    with (folder / ".env").open("a") as file:
        file.write("LOG_LEVEL=loud\n")
    refused = command("check", "--json")
    assert (refused.exit_code, json.loads(refused.output)["ok"]) == (1, False)


def test_check_asks_the_agents_only_with_ask(command, simulator):
    assert command("check").exit_code == 0
    assert [request for request in simulator.requests() if request["at"] == "chat"] == []
    simulator.script({"status": 404, "body": {"code": "AGENT_NOT_FOUND"}})
    ran = command("check", "--ask")
    assert ran.exit_code == 1
    assert re.search(r"^fault: stackspot-chat: .*agent", ran.output, re.MULTILINE | re.IGNORECASE)
    assert "the agent answered" in command("check", "--ask").output


@pytest.mark.parametrize(("broken", "said"), [("a: [", "is not YAML"), (None, "cannot be read")])
def test_check_reports_an_unusable_configuration_file(command, folder, broken, said):
    if broken is None:
        (folder / "config.yaml").unlink()
    else:
        (folder / "config.yaml").write_text(broken, encoding="utf-8")
    ran = command("check")
    assert ran.exit_code == 1
    assert said in ran.output


FAULTS = {
    "GENAI_AGENT_ID=abc": "The agent id 'abc' is malformed",
    "STACKSPOT_INFERENCE_URL=nowhere": "STACKSPOT_INFERENCE_URL is 'nowhere': it is not an address",
    "STACKSPOT_INFERENCE_URL=http://127.0.0.1:9": "STACKSPOT_INFERENCE_URL is 'http://127.0.0.1:9': it cannot be reached",
    "STACKSPOT_IDM_URL=ftp://a": "STACKSPOT_IDM_URL is 'ftp://a'",
    "KEYS_FILE=no.yaml": "KEYS_FILE 'no.yaml' cannot be read",
    "REDIS_URL=localhost:6379": "REDIS_URL is 'localhost:6379': it is not an address of a Redis",
    "REDIS_URL=redis://127.0.0.1:9/0": "REDIS_URL is 'redis://127.0.0.1:9/0': Redis does not answer there",
    "RUNS_DIR=config.yaml/runs": "RUNS_DIR is 'config.yaml/runs': no file can be written there",
    "LOG_LEVEL=loud": "LOG_LEVEL is 'loud': say debug",
    "STARTUP_CHECK=maybe": "STARTUP_CHECK is 'maybe': say off, warn or strict.",
    "LITELLM_MASTER_KEY=sk-1234": "LITELLM_MASTER_KEY is weak",
    "STACKSPOT_MAX_CONCURENCY=2": "did you mean STACKSPOT_MAX_CONCURRENCY?",
    "STACKSPOT_REQUESTS_PER_MINUTE=200": "the platform allows 100 a minute",
    "STACKSPOT_CA_BUNDLE=no.pem": "STACKSPOT_CA_BUNDLE is 'no.pem': it is not a file of PEM certificates",
    "CLIENT_ID=": "Missing: CLIENT_ID",
}


@pytest.mark.parametrize("line", FAULTS)
def test_check_reports_a_fault_and_what_to_do(command, folder, line):
    name = line.partition("=")[0]
    text = re.sub(rf"^{name}=.*\n", "", (folder / ".env").read_text(encoding="utf-8"), flags=re.MULTILINE)
    (folder / ".env").write_text(f"{text}{line}\n", encoding="utf-8")
    ran = command("check")
    assert ran.exit_code == 1
    [fault] = [shown for shown in ran.output.splitlines() if FAULTS[line] in shown]
    assert fault.startswith("fault: ")
    assert "Traceback" not in ran.output + ran.stderr


CONFIG_FAULTS = {
    "custom_handler.stackspot_llm": ("custom_handler.stackspott_llm", "did you mean custom_handler.stackspot_llm?"),
    "router_settings: {num_retries: 0}": (
        "router_settings: {fallbacks: [{stackspot-chat: [gone]}]}",
        "fallbacks of config.yaml names the model 'gone'",
    ),
    "custom_handler.plugin": ("no_such_package.plugin", "its module cannot be imported (ModuleNotFoundError)"),
}


@pytest.mark.parametrize("written", CONFIG_FAULTS)
def test_check_reports_names_that_cannot_be_resolved(command, folder, written):
    wrong, says = CONFIG_FAULTS[written]
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    assert written in text
    (folder / "config.yaml").write_text(text.replace(written, wrong), encoding="utf-8")
    ran = command("check")
    assert ran.exit_code == 1
    assert says in ran.output


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


def test_a_report_replaces_its_own_page_and_no_other_file(command, simulator, folder):
    simulator.script({"text": "Oi", "tokens": {"input": 4, "output": 2}})
    command("chat", "--model", "stackspot-chat", "--user", "Oi")
    (run,) = folder.glob("runs/2*")
    for other in (folder / "notes.html", run / "report.html"):
        other.write_text("<html>Somebody's notes</html>", encoding="utf-8")
    for arguments, file in ((["--output", "notes.html"], folder / "notes.html"), ([], run / "report.html")):
        told = command("report", *arguments)
        assert (told.exit_code, "is not a page of this command: remove it" in told.stderr) == (1, True)
        assert file.read_text(encoding="utf-8") == "<html>Somebody's notes</html>"
    (run / "report.html").unlink()
    for _ in range(2):
        assert command("report").exit_code == 0
    (folder / "empty.html").touch()
    assert command("report", "--output", "empty.html").exit_code == 0


@pytest.mark.parametrize("held", [{}, {"notes.txt": "notes"}, {"manifest.json": "{}"}, {"manifest.json": "[]"}])
def test_a_folder_that_is_no_run_gets_no_report(command, folder, held):
    other = folder / "other"
    other.mkdir()
    for name, text in held.items():
        (other / name).write_text(text, encoding="utf-8")
    told = command("report", "other")
    assert (told.exit_code, "other is not a run: it has neither interactions.jsonl nor" in told.stderr) == (1, True)
    assert {file.name for file in other.iterdir()} == held.keys()


def test_a_run_that_is_not_there_is_an_error(command):
    told = command("report", "nothing")
    assert told.exit_code == 1
    assert "no run 'nothing'" in told.stderr
