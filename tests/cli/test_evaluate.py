"""`evaluate`: a table, a page, and results that a second run goes on from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from custom_handler.emulation.prompt.wording import DEFAULT, wording_of

Command = Callable[..., Result]

CASES = [
    {"id": "clima", "kind": "call", "messages": [{"role": "user", "content": "Como está o tempo em Recife?"}],
     "tools": [{"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}],
     "steps": [[{"name": "get_weather", "arguments": {"city": {"any": True}}}]]},
    {"id": "oi", "kind": "text", "messages": [{"role": "user", "content": "Oi"}], "says": ["simulado"]},
    {"id": "no", "kind": "text", "messages": [{"role": "user", "content": "Oi!"}], "says": ["never said"]},
]  # fmt: skip


def results(folder: Path) -> dict[str, Any]:
    lines = (folder / "evaluation" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["task"]: row for row in map(json.loads, lines)}


def test_a_model_is_measured_and_compared(command: Command, folder: Path, simulator: Any) -> None:
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, CASES)), encoding="utf-8")
    ran = command("evaluate", "--model", "stackspot-chat", "--cases", "cases.jsonl")
    assert ran.exit_code == 0, (ran.output, results(folder))
    verdicts = {name: row["verdict"] for name, row in results(folder).items()}
    assert verdicts == {"clima": "obeyed", "oi": "obeyed", "no": "wrong"}
    assert "66.7 %" in ran.stdout
    assert "lacks &#x27;never said&#x27;" in (folder / "evaluation" / "evaluation.html").read_text(encoding="utf-8")
    asked = len(simulator.requests())
    again = command("evaluate", "--cases", "cases.jsonl", "--kind", "text")
    assert "2 results of an earlier run are kept" in again.stderr
    assert len(simulator.requests()) == asked
    assert "50.0 %" in again.stdout


def test_a_repair_counts_as_a_request(command: Command, folder: Path, simulator: Any) -> None:
    (folder / "cases.jsonl").write_text(json.dumps(CASES[0]), encoding="utf-8")
    block = "FUNCTION_CALL_START\nget_weather\narguments: {0}\nFUNCTION_CALL_END"
    simulator.script({"text": block.format('{"city": "Re')}, {"text": block.format('{"city": "Recife"}')})
    assert command("evaluate", "--cases", "cases.jsonl").exit_code == 0
    row = results(folder)["clima"]
    assert (row["verdict"], row["requests"], row["repairs"]) == ("repaired", 2, 1)


def test_a_task_without_an_answer_is_asked_again(command: Command, folder: Path, simulator: Any) -> None:
    (folder / "cases.jsonl").write_text(json.dumps(CASES[1]), encoding="utf-8")
    simulator.script({"status": 400, "body": {"code": "X", "details": "no"}, "times": 5})
    ran = command("evaluate", "--cases", "cases.jsonl")
    assert ran.exit_code == 1
    assert "1 tasks had no answer" in ran.stderr
    simulator.reset()
    assert command("evaluate", "--cases", "cases.jsonl").exit_code == 0
    assert results(folder)["oi"]["verdict"] == "obeyed"


def test_a_simulated_agent_shows_how_a_report_looks(command: Command, folder: Path) -> None:
    ran = command("evaluate", "--simulate", "0", "--kind", "single call", "--kind", "loops")
    assert ran.exit_code == 0, (ran.output, results(folder))
    assert "A simulated agent answers" in ran.stderr
    assert "100.0 %" in ran.stdout
    assert "A simulated agent answers" in (folder / "evaluation" / "evaluation.html").read_text(encoding="utf-8")


def test_the_results_of_another_agent_do_not_count(
    command: Command, folder: Path, simulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "cases.jsonl").write_text(json.dumps(CASES[1]), encoding="utf-8")
    asked = []
    for agent in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW", "01ARZ3NDEKTSV4RRFFQ69G5FAW"):
        monkeypatch.setenv("GENAI_AGENT_ID", agent)
        ran = command("evaluate", "--cases", "cases.jsonl")
        assert ran.exit_code == 0, ran.output
        asked.append(len(simulator.requests("chat")))
    assert asked == [1, 2, 2]
    for _ in range(2):
        ran = command("evaluate", "--cases", "cases.jsonl", "--simulate", "0")
    assert "1 results of an earlier run are kept" in ran.stderr
    assert len((folder / "evaluation" / "results.jsonl").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "nothing"], "There are no tasks of the kind 'nothing'; the kinds are: single call,"),
        (["--model", "gpt"], "config.yaml has no model 'gpt'; it has: stackspot-chat"),
        (["--cases", "missing.jsonl"], "missing.jsonl cannot be read"),
        (["--config", "missing.yaml"], "missing.yaml cannot be read"),
        (["--compact-tools", "--model", "chat/llama-small"], "The model 'chat/llama-small' is no agent"),
        (["--prompt-variant", "missing.yaml"], "--prompt-variant missing.yaml cannot be read"),
        (["--prompt-variant", "config.yaml"], "config.yaml must map the names of texts to texts"),
        (["--output", "config.yaml", "--kind", "single call"], "choose another --output"),
    ],
)
def test_bad_options_are_refused_with_what_to_do(command: Command, arguments: list[str], said: str) -> None:
    ran = command("evaluate", *arguments)
    assert ran.exit_code == 1
    assert said in ran.stderr


@pytest.mark.parametrize("held", ["notes.txt", "evaluation.html", "results.jsonl"])
def test_an_evaluation_writes_into_no_folder_with_files_of_others(command: Command, folder: Path, held: str) -> None:
    (folder / "other").mkdir()
    (folder / "other" / held).write_text('{"of": "others"}\n', encoding="utf-8")
    for more in ([], ["--fresh"]):
        ran = command("evaluate", "--simulate", "0", "--kind", "single call", "--output", "other", *more)
        assert (ran.exit_code, "other holds other files than an evaluation's" in ran.stderr) == (1, True)
    assert [file.name for file in (folder / "other").iterdir()] == [held]
    assert (folder / "other" / held).read_text(encoding="utf-8") == '{"of": "others"}\n'


def test_two_wordings_of_the_prompt_are_compared(command: Command, folder: Path, simulator: Any) -> None:
    (folder / "cases.jsonl").write_text(json.dumps(CASES[0]), encoding="utf-8")
    assert command("evaluate", "--write-variant", "short.yaml").exit_code == 0
    assert "exists: name a new file" in command("evaluate", "--write-variant", "short.yaml").stderr
    texts = yaml.safe_load((folder / "short.yaml").read_text(encoding="utf-8"))
    assert wording_of(texts, "short.yaml") == DEFAULT
    (folder / "short.yaml").write_text(yaml.safe_dump({**texts, "tools": "Canary tools:"}), encoding="utf-8")
    options = ["--cases", "cases.jsonl", "--prompt-variant", "default", "--prompt-variant", "short.yaml"]
    ran = command("evaluate", *options)
    assert ran.exit_code == 0, (ran.output, results(folder))
    assert re.findall(r"^(stackspot-chat(?: \(short\))?) ", ran.stdout, re.MULTILINE) == [
        "stackspot-chat",
        "stackspot-chat (short)",
    ]
    assert ["Canary tools:" in request["prompt"] for request in simulator.requests("chat")] == [False, True]
    (folder / "short.yaml").write_text(yaml.safe_dump({**texts, "tools": "Other tools:"}), encoding="utf-8")
    command("evaluate", *options)
    assert len(simulator.requests("chat")) == 3


def test_an_agent_is_asked_with_and_without_compact_tools(command: Command, folder: Path) -> None:
    options = ["--compact-tools", "--simulate", "0", "--kind", "coding agent"]
    ran = command("evaluate", *options)
    assert ran.exit_code == 0, (ran.output, results(folder))
    name = "stackspot-chat"
    assert re.findall(r"^(stackspot-chat(?: \(compact tools\))?)  +(\d+) .* (\S+)$", ran.stdout, re.MULTILINE)[:2] == [
        (name, "10", f"{prompts(folder)[name]:,}"),
        (f"{name} (compact tools)", "10", f"{prompts(folder)[f'{name} (compact tools)']:,}"),
    ]
    assert re.search(r"^stackspot-chat +10 +10 +10 +([\d,]+) +([\d,]+) +\d\d %$", ran.stdout, re.MULTILINE)
    assert "lost by" not in ran.stdout
    html = (folder / "evaluation" / "evaluation.html").read_text(encoding="utf-8")
    assert "With and without compact tools" in html
    again = command("evaluate", *options)
    assert "20 results of an earlier run are kept" in again.stderr
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    option = "custom_llm_provider: stackspot}\n    model_info: {compact_tools: true}"
    (folder / "config.yaml").write_text(config.replace("custom_llm_provider: stackspot}", option), encoding="utf-8")
    assert "20 results of an earlier run are kept" in command("evaluate", *options).stderr
    alone = command("evaluate", *options[1:])  # the same name, but with other prompts
    assert "are kept" not in alone.stderr
    assert re.search(r"^stackspot-chat +10 ", alone.stdout, re.MULTILINE)


def prompts(folder: Path) -> dict[str, int]:
    """Return the mean characters of the prompts of each model."""
    lines = (folder / "evaluation" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    sizes: dict[str, list[int]] = {}
    for row in map(json.loads, lines):
        sizes.setdefault(row["model"], []).append(row["prompt_characters"])
    return {model: round(sum(found) / len(found)) for model, found in sizes.items()}


def test_the_characters_are_those_of_the_first_prompt(command: Command, folder: Path, simulator: Any) -> None:
    (folder / "cases.jsonl").write_text(json.dumps(CASES[0]), encoding="utf-8")
    block = "FUNCTION_CALL_START\nget_weather\narguments: {0}\nFUNCTION_CALL_END"
    simulator.script({"text": block.format('{"city": "Re')}, {"text": block.format('{"city": "Recife"}')})
    assert command("evaluate", "--cases", "cases.jsonl").exit_code == 0
    first, repair = (request["prompt"] for request in simulator.requests("chat"))
    assert results(folder)["clima"]["prompt_characters"] == len(first) < len(repair)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "selected_model: gpt-5"),
        ("agent_version: 1", "agent_version: 2"),
        ("", "agent_version: 2"),
        ("", "conversation: native"),
        ("", "compact_tools: true"),
        ("", "resume_streams: true"),
    ],
)
def test_the_results_with_other_options_do_not_count(
    command: Command, folder: Path, simulator: Any, before: str, after: str
) -> None:
    (folder / "cases.jsonl").write_text(json.dumps(CASES[1]), encoding="utf-8")
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    asked = []
    for options in (before, after, after):
        info = f"custom_llm_provider: stackspot}}\n    model_info: {{{options}}}"
        (folder / "config.yaml").write_text(config.replace("custom_llm_provider: stackspot}", info), encoding="utf-8")
        assert command("evaluate", "--cases", "cases.jsonl").exit_code == 0
        asked.append(len(simulator.requests("chat")))
    assert asked == [1, 2, 2]


def test_the_results_of_another_quick_command_do_not_count(
    command: Command, folder: Path, simulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKSPOT_QUICK_COMMANDS_URL", simulator.url)
    monkeypatch.setenv("STACKSPOT_QUICK_COMMANDS_POLL", "0.01")
    (folder / "cases.jsonl").write_text(json.dumps(CASES[2]), encoding="utf-8")
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    one, two = ('input: "{last_user_message}"', 'input: "{conversation}"')
    commands = [("explain", one), ("explain", two), ("review", two), ("review", two)]
    asked = []
    for slug, template in commands:
        written = f"model: quick-command/{slug}, custom_llm_provider: stackspot}}\n    model_info: {{quick_command: {{{template}}}}}"
        (folder / "config.yaml").write_text(
            config.replace("model: stackspot-chat, custom_llm_provider: stackspot}", written), encoding="utf-8"
        )
        ran = command("evaluate", "--cases", "cases.jsonl")
        assert ran.exit_code == 0, results(folder)["no"]["reason"]
        asked.append(len(simulator.requests("execution")))
    assert asked == [1, 2, 3, 3]


def test_a_rule_that_compact_tools_cut_is_a_lost_task(command: Command, folder: Path) -> None:
    described = "Sends a mail. " + "It goes out at once. " * 9 + "Addresses have the domain of the team."
    schema = {"type": "object", "properties": {"to": {"type": "string"}}}
    case = {
        "id": "mail",
        "kind": "ours",
        "messages": [{"role": "user", "content": "Mail ana."}],
        "tools": [{"name": "mail", "description": described, "parameters": schema}],
        "steps": [[{"name": "mail", "arguments": {"to": "ana@team.test"}, "result": "sent"}]],
        "rules": ["Addresses have the domain of the team"],
        "mistaken": [{"name": "mail", "arguments": {"to": "ana"}}],
    }
    (folder / "cases.jsonl").write_text(json.dumps(case), encoding="utf-8")
    ran = command("evaluate", "--compact-tools", "--simulate", "0", "--cases", "cases.jsonl")
    assert re.search(r"^stackspot-chat +1 +1 +0 ", ran.stdout, re.MULTILINE)
    assert "lost by stackspot-chat with compact tools: mail" in ran.stdout
