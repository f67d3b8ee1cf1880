"""Keys of KEYS_FILE authenticate their callers."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from litellm.proxy._types import ProxyException
from starlette.requests import Request

from custom_handler.errors import ConfigurationError
from custom_handler.proxy.key_entries import read_entries
from custom_handler.proxy.keys_file import KeysFileAuth
from custom_handler.request.context import RequestContext

KEY = "sk-a-key-of-team-a"
MASTER = "sk-the-master-key-of-all"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def request_of(path: str, method: str = "POST") -> Request:
    return Request({"type": "http", "method": method, "path": path, "root_path": "", "headers": []})


CHAT = request_of("/v1/chat/completions")


@pytest.fixture
def proxy(monkeypatch):
    """The attributes of the running proxy that concern keys."""
    running = SimpleNamespace(prisma_client=None, master_key=MASTER, general_settings={})
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", running)
    return running


@pytest.fixture
def from_text(tmp_path, proxy):
    """Return a function that reads keys from the text of a file."""

    def read(text: str | None) -> KeysFileAuth:
        path = tmp_path / "keys.yaml"
        if text is not None:
            path.write_text(text, encoding="utf-8")
        return KeysFileAuth(str(path))

    return read


@pytest.mark.parametrize("secret", [f"key: {KEY}", f"sha256: {hashlib.sha256(KEY.encode()).hexdigest().upper()}"])
@pytest.mark.parametrize("sent", [KEY, f"Bearer {KEY}"])
async def test_a_key_of_the_file_gives_its_caller_and_rate_limit(from_text, secret, sent):
    keys = from_text(f"keys: [{{name: team-a, {secret}, requests_per_minute: 7}}]")
    caller = await keys(CHAT, sent)
    assert (caller.key_alias, caller.rpm_limit, caller.user_role.value) == ("team-a", 7, "internal_user")
    assert KEY not in repr(caller)
    assert await keys(CHAT, sent) is not caller, "the proxy changes the object"


def test_the_file_is_read_once(from_text, monkeypatch):
    """Keys and routes of two versions of the file would be a KeyError for each request of a new key."""
    reads = []
    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, **more: reads.append(path) or read(path, **more))
    from_text(f"keys: [{{name: a, key: {KEY}}}]")
    assert len(reads) == 1


async def test_the_rate_limit_of_a_key_is_optional(from_text):
    assert (await from_text(f"keys: [{{name: a, key: {KEY}}}]")(CHAT, KEY)).rpm_limit is None


@pytest.mark.parametrize("sent", ["", None, MASTER, f"Bearer {MASTER}"])
async def test_no_key_and_the_master_key_are_checked_by_the_proxy(proxy, sent):
    assert await KeysFileAuth("")(None, sent) is None


@pytest.mark.parametrize("sent", ["sk-wrong", "wrong", MASTER[:-1]])
async def test_an_unknown_key_is_a_401(proxy, sent):
    with pytest.raises(ProxyException) as raised:
        await KeysFileAuth("")(None, sent)
    assert raised.value.code == "401"
    assert "this proxy does not know the API key" in raised.value.message
    assert sent not in raised.value.message


@pytest.mark.parametrize(
    "state",
    [
        {"prisma_client": object()},
        {"general_settings": {"enable_jwt_auth": True}},
        {"general_settings": {"enable_oauth2_auth": True}},
        {"master_key": None},
    ],
    ids=["a database", "JWTs", "OAuth", "no keys at all"],
)
async def test_a_key_that_the_proxy_may_know_is_checked_by_it(proxy, state: dict[str, Any]):
    vars(proxy).update(state)
    assert await KeysFileAuth("")(None, "sk-virtual") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: FileNotFoundError"),
        ("keys: [", "cannot be read: "),
        ("- a", "must hold a list named keys"),
        ("keys: {}", "must hold a list named keys"),
        ("keys: [a]", r"keys\[0\] must have no fields but budget, budget_duration, key, models, name, requests_per_minute, routes, sha256"),
        (f"keys: [{{name: a, key: {KEY}, rpm: 1}}]", "must have no fields but"),
        (f"keys: [{{key: {KEY}}}]", "needs a name"),
        (f"keys: [{{name: ' ', key: {KEY}}}]", "needs a name"),
        (f"keys: [{{name: ' master', key: {KEY}}}]", r"keys\[0\].name is 'master', the name of the master key: choose another"),
        ("keys: [{name: a}]", "needs either a key of at least 16 characters"),
        ("keys: [{name: a, key: sk-short}]", "needs either"),
        ("keys: [{name: a, key: 'sk-with a blank in it'}]", "needs either"),
        ("keys: [{name: a, sha256: abc}]", "needs either"),
        (f"keys: [{{name: a, key: {KEY}, sha256: {'a' * 64}}}]", "needs either"),
        (f"keys: [{{name: a, key: {KEY}, requests_per_minute: 0}}]", "must be a whole number above zero"),
        (f"keys: [{{name: a, key: {KEY}, requests_per_minute: true}}]", "must be a whole number above zero"),
        (f"keys: [{{name: a, key: {KEY}, models: []}}]", r"keys\[0\].models must be a list of models, such as"),
        (f"keys: [{{name: a, key: {KEY}, models: stackspot-chat}}]", "must be a list of models"),
        (f"keys: [{{name: a, key: {KEY}, models: ['']}}]", "must be a list of models"),
        (f"keys: [{{name: a, key: {KEY}, models: ['(a*']}}]", "must be a list of models"),
        (f"keys: [{{name: a, key: {KEY}, routes: /metrics}}]", r"keys\[0\].routes must be a list of paths, such as /v1/rerank or"),
        (f"keys: [{{name: a, key: {KEY}, routes: ['*']}}]", "must be a list of paths"),
        (f"keys: [{{name: a, key: {KEY}, routes: [/metrics, /a/../b]}}]", "must be a list of paths"),
        (f"keys: [{{name: a, key: {KEY}}}, {{name: b, key: {KEY}}}]", r"keys\[1\]: its name or its key is there twice"),
        (f"keys: [{{name: a, key: {KEY}}}, {{name: a, key: {KEY}2}}]", "is there twice"),
    ],
)  # fmt: skip
def test_an_invalid_file_is_rejected_without_quoting_keys(from_text, text, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        from_text(text)
    assert KEY not in str(raised.value)


async def test_a_key_has_a_weight_and_a_share_of_the_account(from_text):
    given = await from_text(f"keys: [{{name: a, key: {KEY}, weight: 7, share: 0.25}}]")(CHAT, KEY)
    assert given.metadata == {"stackspot_quota": {"weight": 7, "share": 0.25}}
    default = await from_text(f"keys: [{{name: a, key: {KEY}}}]")(CHAT, KEY)
    assert default.metadata == {"stackspot_quota": {"weight": 1, "share": 1.0}}


@pytest.mark.parametrize("weight", ["0", "101", "1.5", "true", "x"])
def test_a_weight_is_a_whole_number_up_to_100(from_text, weight):
    with pytest.raises(ConfigurationError, match=r"keys\[0\].weight must be a whole number from 1 to 100"):
        from_text(f"keys: [{{name: a, key: {KEY}, weight: {weight}}}]")


@pytest.mark.parametrize("share", ["0", "1.1", "-1", "true", "x"])
def test_a_share_is_a_part_of_one(from_text, share):
    with pytest.raises(ConfigurationError, match=r"keys\[0\].share must be a number above 0, and at most 1"):
        from_text(f"keys: [{{name: a, key: {KEY}, share: {share}}}]")


@pytest.mark.parametrize("routes", ["", ", routes: []", ", routes: [/v1/rerank, /cohere/*]"])
async def test_a_key_may_call_its_routes_and_is_refused_others_by_name(from_text, routes):
    keys = from_text(f"keys: [{{name: team-a, key: {KEY}{routes}}}]")
    assert (await keys(CHAT, KEY)).allowed_routes == [], "LiteLLM takes a list for the only routes of a key"
    for path in ("/v1/rerank", "/cohere/v2/chat"):
        if "cohere" in routes:
            assert (await keys(request_of(path), KEY)).allowed_routes == [path]
        else:
            with pytest.raises(ProxyException) as raised:
                await keys(request_of(path), KEY)
            assert raised.value.code == "403"
            assert f"The API key 'team-a' may not call 'POST {path}'" in raised.value.message
            assert "Ask the proxy's operator to add the path to the key's routes" in raised.value.message
    with pytest.raises(ProxyException, match="may not call 'GET /mistral/v1/models'"):
        await keys(request_of("/mistral/v1/models", "GET"), KEY)


async def test_the_route_is_that_of_the_request_which_the_server_received(from_text):
    """LiteLLM makes up a request for a WebSocket and for MCP."""
    keys = from_text(f"keys: [{{name: team-a, key: {KEY}}}]")
    with RequestContext({"type": "websocket", "path": "/v1/realtime"}).served() as current:
        with pytest.raises(ProxyException, match="may not call 'WebSocket /v1/realtime'"):
            await keys(CHAT, KEY)
        assert current.denied is not None
    with RequestContext(dict(CHAT.scope)).served() as current:
        await keys(request_of("/mistral/v1/models"), KEY)
        assert current.denied is None


async def test_a_long_path_is_shortened_in_the_message_and_shows_no_control_characters(from_text):
    keys = from_text(f"keys: [{{name: team-a, key: {KEY}}}]")
    with pytest.raises(ProxyException) as raised:
        await keys(request_of("/mistral/\r\n" + "x" * 500), KEY)
    assert len(raised.value.message) < 300
    assert raised.value.message.isprintable()


async def test_without_a_request_nothing_is_allowed(from_text):
    with pytest.raises(ProxyException, match="may not call"):
        await from_text(f"keys: [{{name: team-a, key: {KEY}}}]")(None, KEY)


async def test_the_names_of_a_wildcard_are_looked_up_for_lists_of_models_only(from_text, proxy):
    class Names(list[str]):
        read = 0

        def __iter__(self):
            self.read += 1
            return super().__iter__()

    names = Names(["stackspot/review", "other"])
    proxy.llm_router = SimpleNamespace(model_names=names, search_tools=None)
    keys = from_text(f"keys: [{{name: a, key: {KEY}, models: ['stackspot/*', chat]}}]")
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses"):
        assert (await keys(request_of(path), KEY)).models == ["stackspot/*", "chat"]
    assert names.read == 0
    assert (await keys(request_of("/v1/models", "GET"), KEY)).models == ["stackspot/*", "chat", "stackspot/review"]


async def test_the_example_of_a_keys_file_has_a_budget_for_a_model_with_a_price(proxy):
    key = await KeysFileAuth(str(EXAMPLES / "named_keys.yaml"))(CHAT, "sk-replace-this-by-a-random-string-b")
    models = {one["model_name"]: one for one in yaml.safe_load((EXAMPLES / "models.yaml").read_text())["model_list"]}
    assert key is not None
    assert [models[name]["model_info"]["input_cost_per_query"] for name in key.models] == [0.01]
    assert [one.budget for one in read_entries(EXAMPLES / "named_keys.yaml")] == [None, 20]
