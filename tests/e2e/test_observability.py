"""Telemetry, metrics, tracing and the start-up check, seen from outside the real proxy."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.support.processes import BIN, ROOT
from tests.support.proxy import MASTER_KEY, Proxy, Simulator, running_proxy
from tests.support.waiting import eventually

CANARY = "canary-c0ffee"
CHAT = "/v1/chat/completions"
EXTRA: dict[str, dict[str, Any]] = {"/v1/messages": {"max_tokens": 50}, "/v1/responses": {"input": f"Oi {CANARY}"}}


def post(proxy: Proxy, request: str, path: str = CHAT, key: str = "", **body: Any) -> httpx.Response:
    """Ask with a connection of its own, so that any worker may take it."""
    told = {
        "model": "stackspot-chat",
        "messages": [{"role": "user", "content": f"Oi {CANARY}"}],
        **body,
    }
    headers = {"Authorization": f"Bearer {key or proxy.key}", "x-request-id": request, "correlation-id": f"c-{request}"}
    return httpx.post(f"{proxy.url}{path}", json=told, headers=headers, timeout=60, trust_env=False)


def lines_of(proxy: Proxy) -> list[dict[str, Any]]:
    files = proxy.log.parent.glob("runs/2*/interactions*.jsonl")
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def line_of(proxy: Proxy, request: str) -> dict[str, Any]:
    """The one line of a request; the proxy writes it after its answer."""
    (line,) = eventually(lambda: [line for line in lines_of(proxy) if line["request_id"] == request])
    return line


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses", "/chat"])
def test_agent_and_telemetry_agree_on_a_correlation_id_that_nobody_gave(
    proxy: Proxy, simulator: Simulator, path: str
) -> None:
    request = f"nameless-{path.strip('/').replace('/', '-')}"
    body = {"model": "stackspot-chat", "messages": [{"role": "user", "content": "Oi"}], **EXTRA.get(path, {})}
    headers = {"Authorization": f"Bearer {proxy.key}", "x-request-id": request}
    answer = httpx.post(f"{proxy.url}{path}", json=body, headers=headers, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert line_of(proxy, request)["correlation_id"] == simulator.requests()[-1]["headers"]["correlation-id"]


def test_a_service_call_without_a_key_is_told_as_what_was_sent(proxy: Proxy) -> None:
    headers = {"x-request-id": "keyless"}
    answer = httpx.post(f"{proxy.url}/chat", json={"message": "Oi"}, headers=headers, trust_env=False)
    line = line_of(proxy, "keyless")
    assert (answer.status_code, line["status"], line["route"]) == (401, 401, "/chat")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses", "/chat"])
def test_a_call_on_any_route_is_one_line(proxy: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"text": f"Olá {CANARY}", "tokens": {"input": 4, "output": 2}})
    request = f"one-{path.strip('/').replace('/', '-')}-{stream}"
    extra = EXTRA.get(path, {})
    asked: dict[str, Any] = {"params": {"stream": stream}} if path == "/chat" else {"stream": stream, **extra}
    answer = post(proxy, request, path, **asked)
    assert answer.status_code == 200, answer.text
    line = line_of(proxy, request)
    assert (line["status"], line["error_class"], line["model"], line["provider"]) == (
        200,
        None,
        "stackspot-chat",
        "stackspot",
    )
    assert (line["correlation_id"], line["stream"]) == (f"c-{request}", stream)
    assert line["route"] == path
    assert line["usage"] == {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    assert line["latency_ms"] >= (line["time_to_first_token_ms"] or 0) > (0 if stream else -1)


@pytest.mark.parametrize(
    ("request_id", "changes", "status", "error"),
    [
        ("bad-model", {"model": "no-such-model"}, 400, "ProxyModelNotFoundError"),
        ("bad-key", {"key": "sk-wrong"}, 401, "ProxyException"),
        ("disabled", {"model": "chat/llama-small"}, 503, "ModelDisabled"),
        ("agent", {}, 403, "PermissionDeniedError"),
        ("agent-stream", {"stream": True}, 403, "PermissionDeniedError"),
    ],
)
def test_a_failure_is_one_line_wherever_it_happens(
    proxy: Proxy, simulator: Simulator, request_id: str, changes: dict[str, Any], status: int, error: str
) -> None:
    simulator.script({"status": 403})
    assert post(proxy, request_id, **changes).status_code == status
    line = line_of(proxy, request_id)
    assert (line["status"], line["error_class"], line["correlation_id"]) == (status, error, f"c-{request_id}")


def test_neither_content_nor_secrets_are_in_the_run(proxy: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": f"Olá {CANARY}"})
    post(proxy, "canary")
    line_of(proxy, "canary")
    (folder,) = proxy.log.parent.glob("runs/2*")
    told = "".join(file.read_text(encoding="utf-8") for file in folder.iterdir())
    for secret in (CANARY, MASTER_KEY, simulator.environ["STACKSPOT_CLIENT_SECRET"]):
        assert secret not in told
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["dependencies"]["litellm"] == "1.108.7"
    assert {"name": "stackspot-chat", "provider": "stackspot", "model": "stackspot-chat"} in manifest["models"]


def test_metrics_want_the_proxys_key(proxy: Proxy) -> None:
    assert httpx.get(f"{proxy.url}/metrics", trust_env=False).status_code == 401
    told = httpx.get(f"{proxy.url}/metrics", headers=proxy.headers, trust_env=False)
    assert told.status_code == 200
    assert told.headers["content-type"].startswith("text/plain")


def metric(proxy: Proxy, sample: str) -> float:
    told = httpx.get(f"{proxy.url}/metrics", headers=proxy.headers, trust_env=False, timeout=30).text
    found = re.search(rf"^{re.escape(sample)} ([\d.e+]+)$", told, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_requests_and_the_provider_are_counted(proxy: Proxy, simulator: Simulator) -> None:
    block = 'FUNCTION_CALL_START\nget_weather\narguments: {"city": "Recife"}\nFUNCTION_CALL_END'
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    served = f'http_requests_total{{method="POST",path="{CHAT}",status="200"}}'
    counted = ("stackspot_tool_calls_total", "stackspot_time_to_first_token_seconds_count")
    samples = [served, *(f'{name}{{account="default"}}' for name in counted)]
    before = [metric(proxy, sample) for sample in samples]
    simulator.script({"text": block})
    assert post(proxy, "tool", tools=[tool]).status_code == 200
    assert [metric(proxy, sample) for sample in samples] == [number + 1 for number in before]
    httpx.get(f"{proxy.url}/no/such/{CANARY}", trust_env=False)
    told = httpx.get(f"{proxy.url}/metrics", headers=proxy.headers, trust_env=False).text
    assert 'path="unknown",status="404"' in told
    assert "litellm_proxy_total_requests_metric_total" in told
    assert CANARY not in told


def test_tracing_is_off_as_configured_and_told_to_key_holders_only(proxy: Proxy) -> None:
    told = httpx.get(f"{proxy.url}/trace-check", headers=proxy.headers, trust_env=False).json()
    assert told["enabled"] is False
    assert set(told["tracers"]) == {"langsmith", "langfuse", "otlp"}
    assert httpx.get(f"{proxy.url}/trace-check", trust_env=False).status_code == 401


def command(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "python"), "-m", "custom_handler", *arguments],
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_line_asks_a_proxy(proxy: Proxy, simulator: Simulator, tmp_path: Path) -> None:
    there = ("--url", proxy.url, "--key", proxy.key)
    assert "stackspot-chat" in command("models", *there, cwd=tmp_path).stdout
    simulator.script({"text": "Olá!", "tokens": {"input": 4, "output": 2}})
    told = command("chat", *there, "--model", "stackspot-chat", "--user", "Oi", cwd=tmp_path)
    answer = json.loads(told.stdout)
    assert (answer["content"], answer["provider"], answer["usage"]["total_tokens"]) == ("Olá!", "stackspot", 6)
    assert line_of(proxy, answer["request_id"])["status"] == 200
    refused = command(
        "chat", "--url", proxy.url, "--key", "sk-wrong", "--model", "stackspot-chat", "--user", "Oi", cwd=tmp_path
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: ")


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """What LangSmith or an OTLP collector would be sent."""
    sent: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()


def test_workers_share_metrics_and_telemetry_and_lose_nothing_when_they_are_stopped(
    simulator: Simulator, collector: tuple[str, list[tuple[str, bytes]]], tmp_path: Path
) -> None:
    url, sent = collector
    config = (ROOT / "config.yaml").read_text(encoding="utf-8")
    (tmp_path / "config.yaml").write_text(re.sub(r"(callbacks: \[.*?)\]", r"\1, otel]", config), encoding="utf-8")
    environ = {"OTEL_EXPORTER": "otlp_http", "OTEL_ENDPOINT": url, "PYTHONPATH": str(ROOT), "STARTUP_CHECK": "warn"}
    environ |= {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"), **simulator.environ}
    with running_proxy(tmp_path / "log", str(tmp_path / "config.yaml"), workers=2, **environ) as proxy:
        for number in range(20):
            assert post(proxy, f"r-{number}", stream=number % 2 == 0).status_code == 200
        served = f'http_requests_total{{method="POST",path="{CHAT}",status="200"}}'
        assert [metric(proxy, served) for _ in range(6)] == [20] * 6  # whichever worker answers
        told = httpx.get(f"{proxy.url}/trace-check", headers=proxy.headers, trust_env=False).json()
        assert told["tracers"]["otlp"] == {"enabled": True, "callback": "otel", "missing": [], "to_do": []}
        assert eventually(lambda: [path for path, _ in sent if path == "/v1/traces"])
        for number in range(20, 30):
            assert post(proxy, f"r-{number}").status_code == 200
    assert sorted(line["request_id"] for line in lines_of(proxy)) == sorted(f"r-{number}" for number in range(30))
    assert len(list(tmp_path.glob("runs/2*"))) == 1
    assert "Start-up check: 1 of 1 models are ready" in proxy.log.read_text(encoding="utf-8")


def test_a_strict_check_stops_the_proxy_and_names_each_fault_last(simulator: Simulator, tmp_path: Path) -> None:
    log = tmp_path / "log"
    environ = {**simulator.environ, "STARTUP_CHECK": "", "STACKSPOT_CLIENT_SECRET": "", "STACKSPOT_REALM": ""}
    with pytest.raises(pytest.fail.Exception, match="was not printed"), running_proxy(log, **environ):
        pass
    printed = log.read_text(encoding="utf-8")
    assert "Application startup failed. Exiting." in printed
    *_, heading, fault = printed.splitlines()
    assert heading == "The proxy does not start, because STARTUP_CHECK is strict and it found:"
    assert fault.startswith("- stackspot-chat: StackSpot is not configured. Missing: CLIENT_SECRET, REALM.")


def test_credentials_that_are_refused_only_warn_at_the_start(simulator: Simulator, tmp_path: Path) -> None:
    environ = {**simulator.environ, "STARTUP_CHECK": "strict", "STACKSPOT_CLIENT_SECRET": f"wrong-{CANARY}"}
    with running_proxy(tmp_path / "log", **environ) as proxy:
        printed = eventually(
            lambda: (text := proxy.log.read_text(encoding="utf-8")) and "0 of 1 models are ready" in text and text
        )
    assert re.search(r"WARNING .*Start-up check: stackspot-chat: StackSpot refuses", printed)
    assert CANARY not in printed


def calls_of(proxy: Proxy, request: str) -> list[dict[str, str]]:
    """The lines of a call on the logger `custom_handler.calls`."""
    told = proxy.log.read_text(encoding="utf-8", errors="replace")
    found = re.findall(rf"(INFO|WARNING) \[[^\]]*\] custom_handler\.calls: call (request_id={request} .*)", told)
    return [{"level": level, **dict(word.split("=") for word in words.split())} for level, words in found]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses", "/chat"])
def test_the_log_has_one_line_for_each_call(proxy: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    """Each case is a call of its own; what would be logged twice is there once the next call is logged."""
    block = 'FUNCTION_CALL_START\nget_weather\narguments: {"city": "Recife"}\nFUNCTION_CALL_END'
    extra = EXTRA.get(path, {})
    asked: dict[str, Any] = {"params": {"stream": stream}} if path == "/chat" else {"stream": stream, **extra}
    tools: dict[str, Any] = {}
    if path == CHAT:
        tools = {"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]}
    name = f"log-{path.strip('/').replace('/', '-')}-{stream}"
    expected = {"good": 200, "refused": 403, "wrong-key": 401, "no-model": 400}
    for case, status in expected.items():
        simulator.reset()
        simulator.script({"status": 403} if case == "refused" else {"text": block if tools else "Oi"})
        changes: dict[str, Any] = {"wrong-key": {"key": "sk-wrong"}, "no-model": {"model": "no-such"}}.get(case, {})
        assert post(proxy, f"{name}-{case}", path, **(asked | tools | changes)).status_code == status
    for case, status in expected.items():
        (line,) = eventually(lambda: calls_of(proxy, f"{name}-{case}"))  # noqa: B023  called at once
        assert (line["status"], line["correlation_id"]) == (str(status), f"c-{name}-{case}")
        assert line["level"] == ("INFO" if status == 200 else "WARNING")
        assert line["key"] == ("-" if status == 401 else "master")
        assert line["upstream"] == ("stackspot/stackspot-chat" if case in {"good", "refused"} else "-")
        assert line["tool_calls"] == ("1" if tools and status == 200 else "0")
    told = proxy.log.read_text(encoding="utf-8", errors="replace")
    assert f"content={CANARY}" not in told
    assert not [line for line in told.splitlines() if "custom_handler.calls" in line and CANARY in line]


def test_the_log_shows_no_traceback_of_a_refusal(proxy: Proxy, simulator: Simulator) -> None:
    before = proxy.log.read_text(encoding="utf-8", errors="replace").count("Traceback (most recent call last)")
    for number, status in enumerate((400, 403, 429)):
        simulator.reset()
        simulator.script({"status": status, "times": 3})
        post(proxy, f"quiet-{number}")
        assert eventually(lambda: calls_of(proxy, f"quiet-{number}"))  # noqa: B023  called at once
    httpx.post(f"{proxy.url}{CHAT}", json={"model": "stackspot-chat", "messages": []}, trust_env=False)
    after = proxy.log.read_text(encoding="utf-8", errors="replace").count("Traceback (most recent call last)")
    assert after == before


def test_a_client_that_leaves_is_logged_as_499(proxy: Proxy, simulator: Simulator) -> None:
    simulator.configure(first_token_delay=0, cadence=0.05)
    simulator.script({"text": "palavra " * 400})
    told = {"model": "stackspot-chat", "stream": True, "messages": [{"role": "user", "content": "Oi"}]}
    headers = proxy.headers | {"x-request-id": "left-1"}
    with httpx.stream("POST", f"{proxy.url}{CHAT}", json=told, headers=headers, timeout=60, trust_env=False) as answer:
        next(answer.iter_raw())
    (line,) = eventually(lambda: calls_of(proxy, "left-1"))
    assert (line["status"], line["level"]) == ("499", "WARNING")


def test_health_and_the_root_tell_programs_what_they_need(proxy: Proxy) -> None:
    told = httpx.get(f"{proxy.url}/health", headers=proxy.headers, timeout=120, trust_env=False)
    for hidden in ("Traceback", "site-packages", "api_base", "127.0.0.1", "://"):
        assert hidden not in told.text
    assert all("Error" in endpoint["error"] for endpoint in told.json()["unhealthy_endpoints"])
    status = httpx.get(f"{proxy.url}/", headers={"accept": "application/json"}, trust_env=False)
    assert (status.status_code, status.json()["status"]) == (200, "ok")
    page = httpx.get(f"{proxy.url}/", headers={"accept": "text/html,*/*;q=0.8"}, trust_env=False)
    assert page.headers["content-type"].startswith("text/html")
