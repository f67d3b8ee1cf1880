"""`GET /trace-check` returns which tracing is on, and what is missing."""

from __future__ import annotations

import json

import pytest

from custom_handler.api.trace_check import trace_check

CANARY = "canary-91c2"
LANGFUSE = {"LANGFUSE_PUBLIC_KEY": CANARY, "LANGFUSE_SECRET_KEY": CANARY}
OTLP = {"OTEL_ENDPOINT": f"http://{CANARY}", "OTEL_EXPORTER": "otlp_http"}


@pytest.mark.parametrize(
    ("name", "callback", "environ"),
    [
        ("langsmith", "langsmith", {"LANGSMITH_API_KEY": CANARY}),
        ("langfuse", "langfuse_otel", LANGFUSE),
        ("otlp", "otel", OTLP),
        ("otlp", "otel", {"OTEL_EXPORTER_OTLP_ENDPOINT": CANARY, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}),
    ],
)
def test_a_tracer_needs_its_callback_and_its_settings(name, callback, environ):
    state = trace_check(["custom_handler.plugin", callback], environ)
    assert state["enabled"] is True
    assert state["tracers"][name] == {"enabled": True, "callback": callback, "missing": [], "to_do": []}
    assert sum(tracer["enabled"] for tracer in state["tracers"].values()) == 1
    assert CANARY not in json.dumps(state)
    assert trace_check([callback], {})["enabled"] is False
    assert trace_check([], environ)["enabled"] is False


def test_missing_requirements_are_listed_with_steps():
    state = trace_check([], {})
    assert state["tracers"]["otlp"]["missing"] == [
        "OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_ENDPOINT",
        "OTEL_EXPORTER_OTLP_PROTOCOL or OTEL_EXPORTER",
    ]
    assert state["tracers"]["langsmith"]["to_do"] == [
        "add langsmith to litellm_settings.callbacks in config.yaml",
        "set LANGSMITH_API_KEY in .env",
    ]


def test_a_missing_package_is_reported(monkeypatch):
    monkeypatch.setattr("custom_handler.api.trace_check._installed", lambda module: False)
    (step,) = trace_check(["otel"], OTLP)["tracers"]["otlp"]["to_do"]
    assert "opentelemetry" in step
