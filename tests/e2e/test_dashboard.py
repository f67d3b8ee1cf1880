"""The dashboard and the alerts ask for metrics, and labels of them, that the real proxy has."""

from __future__ import annotations

import json
import re
import time

import httpx
import pytest

from tests.support.processes import ROOT
from tests.support.proxy import Proxy, Simulator

CALL = "FUNCTION_CALL_START\nlook\narguments: {}\nFUNCTION_CALL_END"
SPOILED = "FUNCTION_CALL_START\nlook\narguments: {oops\nFUNCTION_CALL_END"
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}

# The tests' proxy does not try again, and has no model with conversations that the platform keeps or with
# knowledge or a cache or `resume_streams`, no Quick Command, and no key with a budget. Nor is a response kept.
NEVER_HAPPENS = {
    "stackspot_retries_total": {"account", "reason"},
    "stackspot_kept_conversations_total": {"account", "outcome"},
    "stackspot_agents_refreshes_total": {"account", "outcome"},
    "stackspot_agents_listed": {"account"},
    "stackspot_stored_responses_total": {"outcome"},
    "stackspot_knowledge_answers_total": {"account", "sources"},
    "stackspot_web_searches_total": {"account", "outcome"},
    "stackspot_web_search_seconds_bucket": {"account", "le"},
    "stackspot_cache_lookups_total": {"account", "outcome"},
    "stackspot_resumed_streams_total": {"account", "outcome"},
    "stackspot_quick_commands_total": {"account", "outcome"},
    "stackspot_quick_command_polls_total": {"account"},
    "stackspot_key_spend_usd": {"api_key_alias"},
    "stackspot_key_budget_usd": {"api_key_alias"},
    "stackspot_budget_refusals_total": {"api_key_alias"},
}


def queries() -> list[str]:
    panels = json.loads((ROOT / "deploy/grafana/dashboards/stackspot.json").read_text(encoding="utf-8"))["panels"]
    alerts = (ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8")
    blocks = re.findall(r"expr: (.*?)\n +(?:for|labels):", alerts, re.DOTALL)
    return [target["expr"] for panel in panels for target in panel["targets"]] + blocks


@pytest.fixture(scope="module")
def told(proxy: Proxy, simulator_process: Simulator) -> dict[str, set[str]]:
    """The metrics of a proxy that has done all that is counted, each with its labels; those of none stay empty."""
    simulator_process.reset()
    simulator_process.script({"text": SPOILED}, {"text": CALL}, {"text": "Oi"})
    body = {"model": "stackspot-chat", "messages": [{"role": "user", "content": "Oi"}], "tools": [TOOL]}
    assert proxy.post("/v1/chat/completions", body).status_code == 200
    assert proxy.post("/v1/chat/completions", body | {"stream": True}).status_code == 200
    simulator_process.script({"status": 403})
    assert proxy.post("/v1/chat/completions", body).status_code == 403
    deadline = time.monotonic() + 15
    while "litellm_proxy_failed_requests_metric_total" not in (found := metrics(proxy)) or not (
        found["litellm_proxy_failed_requests_metric_total"] and found["litellm_request_total_latency_metric_sum"]
    ):
        assert time.monotonic() < deadline, "LiteLLM never counted the calls"
        time.sleep(0.05)
    assert found.keys() >= NEVER_HAPPENS.keys()
    return found | NEVER_HAPPENS


def metrics(proxy: Proxy) -> dict[str, set[str]]:
    text = httpx.get(f"{proxy.url}/metrics", headers=proxy.headers, trust_env=False, timeout=30).text
    found: dict[str, set[str]] = {}
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {name + part: set() for part in parts}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} ", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


@pytest.mark.parametrize("query", queries())
def test_what_is_asked_for_is_there(told: dict[str, set[str]], query: str) -> None:
    asked = set(re.findall(r"\b(?:http|stackspot|litellm|process)_\w+", query))
    assert asked or query.startswith("up{")
    assert asked <= told.keys()
    # What Prometheus itself adds to each sample.
    known = {"job", "instance"}.union(*(told[name] for name in asked))
    by = {label for group in re.findall(r"\bby \((.*?)\)", query) for label in group.split(", ")}
    matched = set(re.findall(r'(\w+)=~?"', query))
    assert by | matched <= known
