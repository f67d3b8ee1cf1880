"""Quick Commands through a real proxy: their progress, errors, quota and metrics, on all protocols."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.support.protocols import PATHS, ask_chat, ask_messages, ask_responses, body
from tests.support.proxy import WEB, Proxy, Simulator, running_proxy
from tests.support.waiting import eventually

ACCOUNTS = {
    "minute": {"quick_commands_per_minute": 1},
    "day": {"quick_commands_per_day": 1},
    "day-of-jobs": {"quick_commands_per_day": 1},
}
MODELS = {
    "review": {},
    "hurried": {"timeout": 2},
    "broken": {"model": "stackspot/quick-command/broken"},
    "per-minute": {"timeout": 2, "account": "minute"},
    "per-day": {"timeout": 2, "account": "day"},
    "per-day-of-jobs": {"timeout": 2, "account": "day-of-jobs"},
}
GEMINI = "/v1beta/models/{model}:{method}"
ON_EVERY_PROTOCOL = pytest.mark.parametrize("path", [*PATHS, GEMINI], ids=["chat", "messages", "responses", "gemini"])
RUNNING = {"progress": {"status": "RUNNING", "execution_percentage": 0.5}, "steps": [{"step_result": {"answer": "a"}}]}
DONE = {"progress": {"status": "COMPLETED"}, "result": "1 2 3"}
PROGRESS = ": RUNNING 50 %, steps: 1\n"


def entry(name: str, model: str = "stackspot/quick-command/review", account: str = "default", **params: Any) -> Any:
    return {"model_name": name, "litellm_params": {"model": model, **params}, "model_info": {"account": account}}


def credentials(name: str) -> dict[str, str]:
    return {"realm": "acme", "client_id": f"client-of-{name}", "client_secret": f"secret-of-{name}"}


@pytest.fixture
def platform(simulator: Simulator) -> Simulator:
    """The simulator with all accounts."""
    simulator.configure(more_accounts=[credentials(name) for name in ACCOUNTS])
    return simulator


@pytest.fixture(scope="module")
def commands(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy with pings every fifth of a second, and accounts whose quota has no place for a poll."""
    folder = tmp_path_factory.mktemp("commands")
    config, accounts = folder / "config.yaml", folder / "accounts.yaml"
    settings = {
        "custom_provider_map": [{"provider": "stackspot", "custom_handler": "custom_handler.stackspot_llm"}],
        "callbacks": ["custom_handler.plugin", "prometheus"],
        "drop_params": True,
        "sse_keepalive_ping_interval_seconds": 0.2,
        "anthropic_sse_ping_interval_seconds": 0.2,
    }
    general = {"master_key": "os.environ/LITELLM_MASTER_KEY", "custom_auth": "custom_handler.authenticate_key"}
    models = [entry(name, **params) for name, params in MODELS.items()]
    router = {"num_retries": 0, "disable_cooldowns": True}
    content = {"model_list": models, "litellm_settings": settings, "general_settings": general}
    config.write_text(json.dumps({**content, "router_settings": router}))
    environ = dict(simulator_process.environ)
    accounts.write_text(
        json.dumps({"accounts": {name: credentials(name) | limits for name, limits in ACCOUNTS.items()}})
    )
    simulator_process.configure(more_accounts=[credentials(name) for name in ACCOUNTS])
    environ |= {"STACKSPOT_ACCOUNTS_FILE": str(accounts), "JOBS_DIR": str(folder / "jobs")}
    environ |= {"STACKSPOT_QUICK_COMMANDS_POLL": "0.02", "STACKSPOT_QUICK_COMMANDS_PER_MINUTE": "0"}
    environ |= {"STACKSPOT_MAX_RETRIES": "2"}
    with running_proxy(folder / "log", str(config), **environ) as running:
        yield running


def question(path: str, model: str, *, stream: bool = False) -> tuple[str, dict[str, Any]]:
    """Return path and body of the same question on a protocol; `path` is GEMINI for Google's."""
    if path != GEMINI:
        return path, body(path, "Count to 3", stream=stream) | {"model": model}
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return path.format(model=model, method=method), {"contents": [{"role": "user", "parts": [{"text": "Count to 3"}]}]}


def counted(commands: Proxy, name: str, **labels: str) -> float:
    """Return the sum of a metric over the lines that have these labels."""
    text = WEB.get(f"{commands.url}/metrics/", headers=commands.headers).text
    lines = re.findall(rf"^stackspot_{name}{{(.*)}} (\S+)$", text, re.MULTILINE)
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(float(value) for found, value in lines if all(one in found for one in wanted))


def job_of(commands: Proxy, job_id: str) -> Any:
    """Return a job once it has ended."""

    def ended() -> Any:
        job = WEB.get(f"{commands.url}/status/{job_id}", headers=commands.headers).json()
        return job if job["status"] in {"completed", "failed"} else None

    return eventually(ended)


@ON_EVERY_PROTOCOL
def test_a_stream_tells_the_progress_on_every_protocol(commands: Proxy, platform: Simulator, path: str) -> None:
    platform.script({"at": "callback", "body": RUNNING}, {"at": "callback", "delay_headers": 2, "body": DONE})
    answer = commands.post(*question(path, "review", stream=True))
    before, found, _ = answer.text.partition("1 2 3")
    assert (answer.status_code, found) == (200, "1 2 3"), answer.text
    assert PROGRESS in before


def test_the_sdks_read_streams_with_progress(commands: Proxy, platform: Simulator) -> None:
    plays = {"at": "callback", "body": RUNNING}, {"at": "callback", "delay_headers": 2, "body": DONE}
    platform.script(*plays, *plays)
    with anthropic.Anthropic(base_url=commands.url, auth_token=commands.key, max_retries=0) as claude:
        message = ask_messages(claude, "Count to 3", model="review", stream=True)
    assert [part.text for part in message.content if part.type == "text"] == ["1 2 3"]
    assert message.usage.input_tokens > 0, "the first event is not the one that LiteLLM sends"
    with openai.OpenAI(base_url=f"{commands.url}/v1", api_key=commands.key, max_retries=0) as gpt:
        assert ask_chat(gpt, "Count to 3", model="review", stream=True).message.content == "1 2 3"


@ON_EVERY_PROTOCOL
@pytest.mark.parametrize(
    ("model", "status", "text", "outcome"),
    [("broken", 502, "failed on the platform", "failed"), ("hurried", 504, "did not finish within 2 s", "timeout")],
)
def test_failures_and_timeouts_are_their_own_errors_on_every_protocol(
    commands: Proxy, platform: Simulator, path: str, model: str, status: int, text: str, outcome: str
) -> None:
    if model == "hurried":
        platform.script({"at": "callback", "times": "always", "body": RUNNING})
    before = counted(commands, "quick_commands_total", outcome=outcome)
    answer = commands.post(*question(path, model))
    assert (answer.status_code, text in answer.text) == (status, True), answer.text
    assert (answer.headers.get("x-should-retry"), "retry-after" in answer.headers) == ("false", False)
    assert len(platform.requests(at="execution")) == 1
    assert platform.requests(at="callback")
    assert counted(commands, "quick_commands_total", outcome=outcome) == before + 1
    streamed = commands.post(*question(path, model, stream=True))
    assert text in streamed.text
    assert len(platform.requests(at="execution")) == 2


UNCERTAIN = "may have been started"


@ON_EVERY_PROTOCOL
@pytest.mark.parametrize(
    ("play", "status"),
    [
        ({"fault": "reset_before"}, 502),
        ({"fault": "close_before"}, 502),
        ({"fault": "hang_headers"}, 504),
        ({"fault": "html_502"}, 502),
        ({"status": 500}, 502),
        ({"status": 503}, 502),
        ({"status": 408}, 504),
    ],
    ids=lambda value: str(next(iter(value.values())) if isinstance(value, dict) else value),
)
def test_a_start_without_a_response_is_not_sent_again(
    commands: Proxy, platform: Simulator, path: str, play: dict[str, Any], status: int
) -> None:
    platform.script({"at": "execution", **play})
    outcome = "timeout" if status == 504 else "failed"
    before = counted(commands, "quick_commands_total", outcome=outcome)
    answer = commands.post(*question(path, "hurried"))
    assert (answer.status_code, UNCERTAIN in answer.text) == (status, True), answer.text
    assert (answer.headers.get("x-should-retry"), "retry-after" in answer.headers) == ("false", False)
    assert len(platform.requests(at="execution")) == 1
    assert not platform.requests(at="callback")
    assert counted(commands, "quick_commands_total", outcome=outcome) == before + 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_start_that_the_platform_refuses_is_sent_again(commands: Proxy, platform: Simulator, status: int) -> None:
    platform.script(
        {"at": "execution", "status": status, "headers": {"retry-after": "1"}}, {"at": "callback", "body": DONE}
    )
    answer = commands.post(*question(PATHS[0], "review"))
    assert (answer.status_code, "1 2 3" in answer.text) == (200, True), answer.text
    assert len(platform.requests(at="execution")) == 2


def test_the_sdks_raise_a_failure_after_a_keepalive(commands: Proxy, platform: Simulator) -> None:
    platform.script({"at": "callback", "times": "always", "body": RUNNING})
    late = "did not finish within 2 s"
    with (
        anthropic.Anthropic(base_url=commands.url, auth_token=commands.key, max_retries=0) as claude,
        pytest.raises(anthropic.APIStatusError, match=late),
    ):
        ask_messages(claude, "Count to 3", model="hurried", stream=True)
    with openai.OpenAI(base_url=f"{commands.url}/v1", api_key=commands.key, max_retries=0) as gpt:
        for ask in (ask_chat, ask_responses):
            with pytest.raises(openai.APIError, match=late):
                ask(gpt, "Count to 3", model="hurried", stream=True)


@pytest.mark.parametrize(
    ("model", "account", "refusal"),
    [("per-minute", "minute", "no place came free in time"), ("per-day", "day", "requests of 24 hours are used up")],
)
def test_polls_keep_to_the_quota_and_no_other_execution_is_started(
    commands: Proxy, platform: Simulator, model: str, account: str, refusal: str
) -> None:
    answer = commands.post(*question(PATHS[0], model))
    assert (answer.status_code, "had no place for its last polls" in answer.text) == (504, True), answer.text
    assert (len(platform.requests(at="execution")), len(platform.requests(at="callback"))) == (1, 0)
    quota = WEB.get(f"{commands.url}/quota", headers=commands.headers).json()
    [used] = [one["quick_commands"] for one in quota["accounts"] if one["name"] == account]
    assert (used["used"], used["day"]["used"]) == (1, 1)
    again = commands.post(*question(PATHS[0], model))
    assert (again.status_code, refusal in again.text) == (429, True), "before it starts, it is refused as others are"
    assert len(platform.requests(at="execution")) == 1
    outcomes = [counted(commands, "quick_commands_total", account=account, outcome=o) for o in ("timeout", "limited")]
    assert (outcomes, counted(commands, "quick_command_polls_total", account=account)) == ([1, 1], 0)


def test_a_job_starts_no_other_execution_for_a_poll_without_a_place(commands: Proxy, platform: Simulator) -> None:
    sent = commands.post("/ingest", {"messages": ["Count to 3"], "model": "per-day-of-jobs"})
    [item] = job_of(commands, sent.json()["job_id"])["result"]
    assert "had no place for its last polls" in item["error"]["message"]
    assert item["error"]["code"] == "504"
    assert len(platform.requests(at="execution")) == 1


def test_a_job_starts_no_other_execution_after_a_broken_start(commands: Proxy, platform: Simulator) -> None:
    platform.script({"at": "execution", "fault": "reset_before"})
    sent = commands.post("/ingest", {"messages": ["Count to 3"], "model": "review"})
    [item] = job_of(commands, sent.json()["job_id"])["result"]
    assert UNCERTAIN in item["error"]["message"]
    assert len(platform.requests(at="execution")) == 1


def test_executions_and_polls_are_counted(commands: Proxy, platform: Simulator) -> None:
    def counts() -> list[float]:
        completed = counted(commands, "quick_commands_total", account="default", outcome="completed")
        return [completed, counted(commands, "quick_command_polls_total", account="default")]

    before = counts()
    assert commands.post(*question(PATHS[0], "review")).status_code == 200
    polls = len(platform.requests(at="callback"))
    assert polls >= 2
    assert counts() == [before[0] + 1, before[1] + polls]
