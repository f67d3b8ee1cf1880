"""The metrics for Prometheus."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from custom_handler.instrumentation import (
    AccountMeasurement,
    CacheLookup,
    ConversationOutcome,
    ExecutionEnded,
    ExecutionPolled,
    FirstText,
    Hooks,
    KnowledgeSearched,
    QueueChanged,
    Queued,
    Repaired,
    RequestCounted,
    Resumed,
    Retried,
    TokenCall,
    ToolCalled,
    WebSearched,
)
from custom_handler.proxy.asgi_transport import INTERNAL_CALL
from custom_handler.proxy.middleware.wrap import ProxyWrapper
from custom_handler.telemetry.prometheus import HttpMetrics, ProviderMetrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def requests(registry: CollectorRegistry) -> list[tuple[str, str, str, float]]:
    return [
        (sample.labels["method"], sample.labels["path"], sample.labels["status"], sample.value)
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "http_requests_total"
    ]


async def serve(
    registry: CollectorRegistry, status: int | None = 200, route: str | None = None, **scope: Any
) -> dict[str, Any]:
    served: dict[str, Any] = {"type": "http", "method": "GET", "path": "/v1/thing/7", "headers": [], **scope}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if route:
            scope["route"] = SimpleNamespace(path=route)
        if status is None:
            raise ValueError("broken")
        if status:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        pass

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    await ProxyWrapper(app, [HttpMetrics(registry)])(served, receive, send)
    return served


async def test_a_request_is_counted_by_the_template_of_its_route(registry):
    await serve(registry, route="/v1/thing/{id}")
    assert requests(registry) == [("GET", "/v1/thing/{id}", "200", 1.0)]
    assert (
        registry.get_sample_value("http_request_duration_seconds_count", {"method": "GET", "path": "/v1/thing/{id}"})
        == 1
    )


@pytest.mark.parametrize(
    ("scope", "status", "counted"),
    [
        ({}, 404, ("GET", "unknown", "404")),
        ({"method": "BREW"}, 405, ("unknown", "unknown", "405")),
        ({}, 0, ("GET", "unknown", "499")),
    ],
    ids=["no route", "a made-up method", "a client that disconnected"],
)
async def test_values_chosen_by_clients_are_no_labels(registry, scope, status, counted):
    await serve(registry, status, **scope)
    assert requests(registry) == [(*counted, 1.0)]


async def test_a_failure_of_the_application_is_a_500(registry):
    await serve(registry, None, "/chat")
    assert requests(registry) == [("GET", "/chat", "500", 1.0)]


@pytest.mark.parametrize("scope", [{"type": "websocket"}, {"type": "lifespan"}, {INTERNAL_CALL: True}])
async def test_only_requests_of_clients_are_counted(registry, scope):
    await serve(registry, **scope)
    assert requests(registry) == []


async def test_metrics_are_served_without_a_redirect(registry):
    assert (await serve(registry, path="/metrics"))["path"] == "/metrics/"
    assert requests(registry) == [("GET", "/metrics", "200", 1.0)]


@pytest.mark.parametrize(
    ("measurement", "sample", "labels", "value"),
    [
        (TokenCall(0.5, succeeded=True), "token_renewals_total", {"outcome": "succeeded"}, 1),
        (TokenCall(0.5, succeeded=False), "token_renewals_total", {"outcome": "failed"}, 1),
        (TokenCall(0.5, succeeded=True), "token_renewal_seconds_sum", {}, 0.5),
        (QueueChanged(waiting=3, running=2), "queue_depth", {}, 3),
        (QueueChanged(waiting=3, running=2), "queue_running", {}, 2),
        (Queued(1.5, admitted=True), "queue_wait_seconds_sum", {"outcome": "admitted"}, 1.5),
        (Queued(1.5, admitted=False), "queue_wait_seconds_count", {"outcome": "turned_away"}, 1),
        (RequestCounted("team-a", 90), "requests_total", {"api_key_alias": "team-a"}, 1),
        (RequestCounted("team-a", 90), "requests_limit", {}, 90),
        (RequestCounted("team-a", 90, 6000), "requests_day_limit", {}, 6000),
        (Retried("RateLimited"), "retries_total", {"reason": "RateLimited"}, 1),
        (FirstText(0.25), "time_to_first_token_seconds_sum", {}, 0.25),
        (ToolCalled("get_weather"), "tool_calls_total", {}, 1),
        (ConversationOutcome("lost"), "kept_conversations_total", {"outcome": "lost"}, 1),
        (KnowledgeSearched(("01KA",)), "knowledge_answers_total", {"sources": "found"}, 1),
        (KnowledgeSearched(()), "knowledge_answers_total", {"sources": "none"}, 1),
        (WebSearched(succeeded=False, seconds=0.5), "web_searches_total", {"outcome": "failed"}, 1),
        (WebSearched(succeeded=True, seconds=0.5), "web_search_seconds_sum", {}, 0.5),
        (CacheLookup("hit"), "cache_lookups_total", {"outcome": "hit"}, 1),
        (ExecutionEnded("failed", 3.0), "quick_commands_total", {"outcome": "failed"}, 1),
        (ExecutionPolled(), "quick_command_polls_total", {}, 1),
        (Resumed("succeeded"), "resumed_streams_total", {"outcome": "succeeded"}, 1),
        (Repaired("json", succeeded=True), "repairs_total", {"fault": "json", "outcome": "succeeded"}, 1),
    ],
)
def test_each_measurement_is_counted(registry, measurement, sample, labels, value):
    hooks = Hooks()
    hooks.add(ProviderMetrics(registry))
    hooks(measurement)
    account = {"account": "default"} if isinstance(measurement, AccountMeasurement) else {}
    assert registry.get_sample_value(f"stackspot_{sample}", labels | account) == value
