"""The plugin extends a running proxy."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.proxy._types import ProxyException
from litellm.types.utils import CallTypes
from litellm.utils import validate_chat_completion_tool_choice

from custom_handler import proxy_plugin as plugin_module
from custom_handler.proxy.loop_executor import LoopExecutor
from custom_handler.proxy.middleware.wrap import ProxyWrapper
from custom_handler.proxy.validation import received
from custom_handler.proxy_plugin import Plugin
from custom_handler.request.chat_request import ChatRequest
from custom_handler.request.context import RequestContext
from custom_handler.settings import ProxySettings, Settings, TelemetrySettings

TAKEN = ["AWS_REGION", "A_NEW_NAME"]
QUIET = Settings(proxy=ProxySettings(startup_check="off"), telemetry=TelemetrySettings(enabled=False))


def starting_proxy(app: FastAPI) -> SimpleNamespace:
    reports = SimpleNamespace(post_call_failure_hook=None)
    return SimpleNamespace(
        app=app,
        proxy_config=SimpleNamespace(get_config_state=dict),
        proxy_logging_obj=reports,
        count_request_tokens=None,
    )


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch, tmp_path):
    """An empty folder, and an environment without the variables of the tests."""
    monkeypatch.chdir(tmp_path)
    for name in TAKEN:
        monkeypatch.setenv(name, "")  # restored after the test
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture(autouse=True)
def package():
    """The logger of the package, restored after the test."""
    logger = logging.getLogger("custom_handler")
    before = logger.level, list(logger.handlers), logger.propagate
    yield logger
    level, logger.handlers, logger.propagate = before
    logger.setLevel(level)


class Call:
    """LiteLLM's object for the records of a call."""


def hook(plugin: Plugin, call_type: CallTypes = CallTypes.acompletion, **kwargs: Any) -> dict[str, Any] | None:
    return asyncio.run(plugin.async_pre_call_deployment_hook({"litellm_logging_obj": Call(), **kwargs}, call_type))


def wrapped(proxy: Any) -> None:
    """Give a proxy the functions that the plugin wraps."""
    proxy.initialize_shared_aiohttp_session = proxy.proxy_shutdown_event = None
    proxy.register_plugins_from_config = proxy.validate_auto_router_capability_limits = None


@pytest.mark.parametrize(
    "kwargs",
    [{"model": "stackspot/stackspot-chat"}, {"model": "stackspot-chat", "custom_llm_provider": "stackspot"}],
    ids=["by the model", "by the provider"],
)
def test_a_stackspot_stream_is_started_before_the_response(kwargs):
    changed = hook(Plugin(Settings()), stream=True, temperature=0.1, **kwargs)
    assert changed is not None
    assert (changed["stream"], changed["temperature"], changed["model"]) == (False, 0.1, kwargs["model"])
    assert changed["caching"] is False


@pytest.mark.parametrize(
    ("model", "fields", "param"),
    [("stackspot-chat", {"custom_llm_provider": "openai"}, "custom_llm_provider"), ("a,b", {}, "model")],
)
def test_fields_are_validated_if_the_path_names_the_model(model, fields, param):
    body = {"messages": [{"role": "user", "content": "Oi"}], **fields}
    data = {**body, "model": model, "proxy_server_request": {"body": body}}
    with pytest.raises(ProxyException) as raised:
        asyncio.run(Plugin(Settings()).async_pre_call_hook(None, None, data, "acompletion"))
    assert (raised.value.code, raised.value.param) == ("400", param)


@pytest.mark.parametrize("stream", [True, False])
def test_allowed_tools_are_accepted_by_litellm_and_parsed(stream):
    tool = {"type": "function", "function": {"name": "get_weather"}}
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool]}}
    changed = hook(Plugin(Settings()), model="stackspot/a", stream=stream, tool_choice=choice)
    assert changed is not None
    passed = validate_chat_completion_tool_choice(changed["tool_choice"])
    request = ChatRequest.from_openai([{"role": "user", "content": "a"}], {"tools": [tool], "tool_choice": passed})
    assert request.tool_choice == "required"


@pytest.mark.parametrize(
    "kwargs",
    [
        {"model": "stackspot/a"},
        {"model": "stackspot/a", "stream": False},
        {"model": "stackspot/a", "stream": True, "call_type": CallTypes.completion},
    ],
    ids=["not streamed", "stream false", "synchronous"],
)
def test_other_stackspot_calls_are_only_excluded_from_the_cache(kwargs):
    changed = hook(Plugin(Settings()), **kwargs)
    assert changed is not None
    assert {**changed, "litellm_logging_obj": 0} == {
        **{name: value for name, value in kwargs.items() if name != "call_type"},
        "litellm_logging_obj": 0,
        "caching": False,
    }


@pytest.mark.parametrize(
    "kwargs",
    [
        {"model": "openai/a", "stream": True},
        {"model": "stackspot/a", "stream": True, "custom_llm_provider": "openai"},
        {"stream": True},
    ],
    ids=["another provider", "another one by its name", "no model"],
)
def test_calls_of_other_providers_are_unchanged(kwargs):
    assert hook(Plugin(Settings()), **kwargs) is None


def test_dotenv_is_loaded_and_does_not_override_the_environment(empty_environment, monkeypatch):
    text = "A_NEW_NAME=from-file\nA_BLANK=from-file\nAWS_REGION=from-file\n"
    (empty_environment / ".env").write_text(text, encoding="utf-8")
    monkeypatch.setenv("AWS_REGION", "from-environment")
    monkeypatch.setenv("A_BLANK", " ")
    Plugin(Settings())
    assert (os.environ["A_NEW_NAME"], os.environ["AWS_REGION"]) == ("from-file", "from-environment")
    assert os.environ["A_BLANK"] == "from-file"


def test_a_log_line_has_time_level_and_name(package, capsys):
    package.handlers = []
    package.setLevel(logging.NOTSET)
    Plugin(Settings(proxy=ProxySettings(log_level="debug")))
    logging.getLogger("custom_handler.stackspot.tokens").debug("a line")
    shown = capsys.readouterr().err
    assert shown.endswith(" DEBUG [-] custom_handler.stackspot.tokens: a line\n")
    assert shown.startswith("20")
    assert shown.count("a line") == 1


def test_a_log_configured_by_the_operator_is_unchanged(package):
    mine = logging.NullHandler()
    package.handlers = [mine]
    package.setLevel(logging.ERROR)
    Plugin(Settings(proxy=ProxySettings(log_level="DEBUG")))
    assert (package.handlers, package.level, package.propagate) == ([mine], logging.ERROR, True)


class Failure(Exception):
    """An error with the headers of LiteLLM's."""

    def __init__(self, headers: Any = None) -> None:
        super().__init__("no")
        self.headers = headers


@pytest.mark.parametrize(
    ("failure", "added"),
    [
        (Failure({"retry-after": "7"}), [(b"retry-after", b"7")]),
        (Failure({"other": "7"}), []),
        (Failure(), []),
        (ValueError("no"), []),
    ],
    ids=["with a time to wait", "with another header", "without headers", "of another kind"],
)
async def test_retry_after_is_added_to_every_failed_response(failure, added):
    plugin, sent = Plugin(Settings()), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await plugin.async_post_call_failure_hook({}, failure, user_api_key_dict=None)
        await send({"type": "http.response.start", "status": 429, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.extend(header for header in message.get("headers", ()) if header[0] != b"x-request-id")

    await ProxyWrapper(app)({"type": "http", "path": "/", "headers": []}, receive, send)
    assert [header for header in sent if header[0] == b"retry-after"] == added


def test_metrics_are_added_before_the_startup_check(monkeypatch):
    order: list[str] = []
    proxy = starting_proxy(FastAPI())
    wrapped(proxy)
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", proxy)
    monkeypatch.setattr(plugin_module, "_extend", lambda *_, **__: order.append("extend"))
    monkeypatch.setattr(plugin_module, "check_at_start", lambda *_: order.append("check"))
    Plugin(Settings(telemetry=TelemetrySettings(enabled=False)))
    assert order == ["extend", "check"]


@pytest.mark.parametrize("services", [True, False])
def test_the_routes_of_the_services_can_be_disabled(monkeypatch, services):
    app = FastAPI()
    proxy = starting_proxy(app)
    wrapped(proxy)
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", proxy)
    Plugin(QUIET.changed(services={"enabled": services}))
    routes = {
        "/chat",
        "/chat/stream",
        "/healthz",
        "/playground",
        "/trace-check",
        "/ingest",
        "/status/{job_id}",
        "/jobs",
        "/jobs/{job_id}",
    }
    assert (routes & app.openapi()["paths"].keys()) == (routes if services else set())


def test_the_routes_of_jobs_can_be_disabled(monkeypatch):
    app = FastAPI()
    proxy = starting_proxy(app)
    wrapped(proxy)
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", proxy)
    Plugin(QUIET.changed(jobs={"enabled": False}))
    assert "/chat" in app.openapi()["paths"]
    assert "/ingest" not in app.openapi()["paths"]


def test_the_finalizer_of_litellms_streams_is_deleted(monkeypatch):
    CustomStreamWrapper.__del__ = lambda _: None  # another test may have deleted it
    proxy = starting_proxy(FastAPI())
    wrapped(proxy)
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", proxy)
    for _ in range(2):
        Plugin(QUIET.changed(services={"enabled": False}))
    assert not hasattr(CustomStreamWrapper, "__del__")


async def start(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Install the plugin into a proxy that starts on the running loop."""

    async def started() -> str:
        return "session"

    proxy = starting_proxy(FastAPI())
    wrapped(proxy)
    proxy.initialize_shared_aiohttp_session = started
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", proxy)
    thresholds = gc.get_threshold()
    Plugin(settings)
    try:
        assert await proxy.initialize_shared_aiohttp_session() == "session"
        assert gc.get_freeze_count() > 100_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize("shortcuts", [True, False])
async def test_objects_are_frozen_and_calls_prepared_when_the_proxy_has_started(monkeypatch, shortcuts):
    await start(monkeypatch, QUIET.changed(services={"enabled": False}, proxy={"shortcuts": shortcuts}))
    executor = asyncio.get_running_loop()._default_executor  # type: ignore[attr-defined]
    assert isinstance(executor, LoopExecutor) == shortcuts


@pytest.mark.parametrize("call_type", ["acompletion", "anthropic_messages", "aresponses"])
def test_a_wrong_type_is_rejected_on_every_chat_protocol(call_type):
    hook = Plugin(Settings()).async_pre_call_hook
    with pytest.raises(ProxyException) as caught:
        asyncio.run(hook(user_api_key_dict=None, cache=None, data={"model": "m", "tools": "x"}, call_type=call_type))
    assert (caught.value.message, caught.value.param, caught.value.code) == ("tools must be a list.", "tools", "400")


def test_a_body_is_validated_once_unless_it_changes(monkeypatch):
    checked, shapes, rejected = [], [], []
    for module in (plugin_module, received):
        monkeypatch.setattr(module, "limit_content", checked.append)
        monkeypatch.setattr(module, "reject_reserved_fields", lambda sent: rejected.append(dict(sent)))
        monkeypatch.setattr(module, "validate_field_types", lambda sent, _: shapes.append(sent))
    messages = [{"role": "user", "content": "Oi"}]
    scope = {
        "path": "/v1/chat/completions",
        "parsed_body": (("model", "messages"), {"model": "m", "messages": messages}),
    }
    hook = Plugin(Settings()).async_pre_call_hook
    with RequestContext(scope).served():
        received.validate_received()
        for call_type, data in [
            ("acompletion", {"model": "m"}),
            ("acompletion", {"model": "m"}),
            ("atext_completion", {"model": "m"}),
            ("acompletion", {"model": "another"}),
        ]:
            asyncio.run(hook(user_api_key_dict=None, cache=None, data=data, call_type=call_type))
    sent = {"model": "m", "messages": messages}
    assert checked == shapes == rejected == [sent, sent, {**sent, "model": "another"}]


def test_the_types_of_other_calls_are_not_validated():
    hook = Plugin(Settings()).async_pre_call_hook
    asyncio.run(hook(user_api_key_dict=None, cache=None, data={"input": [[1, 2]]}, call_type="aembedding"))
