"""What a caller could try: fields that choose where a call goes, keys of others, bodies that hurt, secrets that show."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import http.server
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from tests.support.processes import BIN, ROOT, process, wait_for
from tests.support.proxy import MASTER_KEY, Proxy, Simulator, running_proxy

PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")
GEMINI = tuple(f"/v1beta/models/stackspot-chat:{method}" for method in ("generateContent", "streamGenerateContent"))
EVERY_PATH = (*PATHS, *GEMINI)
FORGED = "01" + "C" * 24
CANARY = "canary-7f3a"
SECRET = "canary-client-secret"
TOOLS_KEY = "sk-canary-key-of-the-tools"
NAMED_KEY, LIMITED_KEY = "sk-canary-key-of-team-a", "sk-canary-key-of-team-b"
TIMEOUT = 4.0
ELSEWHERE = "http://elsewhere.invalid"


class Evil:
    """A host that notes whatever reaches it."""

    def __init__(self) -> None:
        heard: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                heard.append(f"{self.path} {self.headers} {body!r}")
                self.send_error(418)

            do_GET = do_POST  # noqa: N815  the library's own names

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.heard = heard
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def evil() -> Iterator[Evil]:
    host = Evil()
    yield host
    host.server.shutdown()
    host.server.server_close()


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A simulator whose account has a secret that nobody may see."""
    log = tmp_path_factory.mktemp("account") / "log"
    with process([str(BIN / "python"), "-m", "custom_handler", "simulate"], log) as running:
        wait_for(log, r"GENAI_AGENT_ID=\w+\n", running)
        environ = dict(re.findall(r"export (\w+)=(\S+)", log.read_text()))
        environ = {name: SECRET if name.endswith("CLIENT_SECRET") else value for name, value in environ.items()}
        simulator = Simulator(environ["STACKSPOT_IDM_URL"], MappingProxyType(environ))
        simulator.configure(first_token_delay=0, cadence=0, client_secret=SECRET)
        yield simulator


OWN_ROUTES = ["/metrics", "/v1/model/info", "/model_group/info", "/health/services", "/cohere/*"]


def by_agent_id(account: Simulator) -> dict[str, Any]:
    """Return a model of config.yaml that names its agent."""
    agent = account.environ["STACKSPOT_GENAI_AGENT_ID"]
    return {"model_name": "by-agent-id", "litellm_params": {"model": f"stackspot/{agent}"}, "model_info": {"id": "m-1"}}


@pytest.fixture(scope="module")
def guarded(account: Simulator, evil: Evil, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The stock configuration with a response cache, metrics and named keys; other providers' keys lead to the evil host."""
    folder = tmp_path_factory.mktemp("guarded")
    config, keys = folder / "config.yaml", folder / "keys.yaml"
    stock = (ROOT / "config.yaml").read_text()
    callbacks = "  callbacks: [custom_handler.plugin, prometheus]"
    assert callbacks in stock
    config.write_text(
        stock.replace(
            callbacks,
            f"  cache: true\n  cache_params: {{type: local}}\n{callbacks}",
        ).replace("model_list:\n", f"model_list:\n  - {json.dumps(by_agent_id(account))}\n")
    )
    keys.write_text(
        f"keys:\n  - {{name: team-a, key: {NAMED_KEY}}}\n  - {{name: team-b, key: {LIMITED_KEY}, requests_per_minute: 2}}\n"
        f"  - {{name: tools, key: {TOOLS_KEY}, routes: {json.dumps(OWN_ROUTES)}}}\n"
    )
    others = {
        "KEYS_FILE": str(keys),
        "STACKSPOT_TIMEOUT": str(TIMEOUT),
        "OPENAI_API_KEY": "sk-canary-openai",
        "OPENAI_BASE_URL": evil.url,
        "AZURE_API_KEY": "canary-azure",
        "AZURE_API_BASE": evil.url,
        "AZURE_API_VERSION": "2024-10-21",
        "LITELLM_PROXY_API_KEY": "sk-canary-proxy",
        "LITELLM_PROXY_API_BASE": evil.url,
        "LANGFUSE_HOST": evil.url,
        "LANGFUSE_PUBLIC_KEY": "canary-langfuse",
        "LANGFUSE_SECRET_KEY": "canary-langfuse-secret",
        **{f"{name}_API_KEY": f"canary-{name}" for name in ("COHERE", "MISTRAL", "OPENROUTER", "GEMINI", "ANTHROPIC")},
        **{f"{name}_API_BASE": evil.url for name in ("COHERE", "MISTRAL", "OPENROUTER", "GEMINI", "ANTHROPIC")},
    }
    with running_proxy(folder / "log", str(config), **account.environ, **others) as proxy:
        yield proxy


def body(path: str, text: str = "Oi", **more: Any) -> dict[str, Any]:
    """Ask the same in the words of a protocol."""
    if path in GEMINI:
        return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}
    said = {"input": text} if path == "/v1/responses" else {"messages": [{"role": "user", "content": text}]}
    limit = {"max_tokens": 100} if path == "/v1/messages" else {}
    return {"model": "stackspot-chat", **said, **limit, **more}


@dataclass(frozen=True)
class Attack:
    """A field of a body that the operator alone may set; `refused`: it is a 400 or 401, else it has no effect."""

    id: str
    fields: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    refused: bool = False


def attacks(evil: str) -> list[Attack]:
    """Return every attempt, with the evil host's address in it."""
    model_info = {"agent_id": FORGED, "id": FORGED}
    ignored = {
        "agent_id": FORGED,
        "GENAI_AGENT_ID": FORGED,
        "realm": "evil",
        "idm_url": evil,
        "inference_url": evil,
        "STACKSPOT_INFERENCE_URL": evil,
        "ca_bundle": "/etc/hostname",
        "model_info": model_info,
        "metadata": {"agent_id": FORGED, "model_info": model_info, "user_api_key": "litellm-internal-health-check"},
        "litellm_metadata": {"agent_id": FORGED, "user_api_key": "litellm-internal-health-check"},
        "extra_body": {"agent_id": FORGED, "realm": "evil", "custom_llm_provider": "openai"},
        "extra_headers": {"authorization": "Bearer evil", "host": "evil", "x-stackspot-agent-id": FORGED},
        "mock_response": "evil",
        "optional_params": {"agent_id": FORGED},
    }
    refused = {
        "api_base": evil,
        "base_url": evil,
        "api_key": "sk-evil",
        "client_id": "evil",
        "client_secret": "evil",
        "custom_llm_provider": "openai",
        "azure": True,
        "deployment_id": "evil",
        "use_litellm_proxy": True,
        "ssl_verify": False,
        "litellm_params": {"agent_id": FORGED, "api_base": evil},
        "litellm_credential_name": "evil",
        "model_list": [{"model_name": "stackspot-chat", "litellm_params": {"model": "openai/x", "api_base": evil}}],
        "user_config": {"model_list": [{"model_name": "a", "litellm_params": {"model": "openai/x"}}]},
        "self": 1,
        "proxy_server_request": {"headers": {"correlation-id": "evil"}},
        "success_callback": ["langfuse"],
        "failure_callback": [{}],
        "callbacks": ["otel"],
    }
    together = {"custom_llm_provider": "openai", "api_base": evil, "api_key": "sk-evil"}
    return [
        *(Attack(name, {name: value}) for name, value in ignored.items()),
        *(Attack(name, {name: value}, refused=True) for name, value in refused.items()),
        Attack("all together", together, refused=True),
        Attack("api_base in extra_body", {"extra_body": {"api_base": evil}}, refused=True),
        Attack("api_base in metadata", {"metadata": {"api_base": evil}}, refused=True),
        Attack("a fallback elsewhere", {"fallbacks": [{"model": "stackspot-chat", **together}]}, refused=True),
        Attack("a fallback's provider", {"fallbacks": [{"model": "stackspot-chat", "azure": True}]}, refused=True),
        *(
            Attack(name, {name: True}, refused=True)
            for name in ("_litellm_skip_openai_stream_done", "_litellm_raw_sse_stream")
        ),
        Attack("headers", {}, {"x-stackspot-agent-id": FORGED, "agent_id": FORGED, "x-litellm-api-base": evil}),
    ]


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize("attack", attacks(ELSEWHERE), ids=lambda attack: attack.id)
def test_no_field_of_a_request_changes_where_it_goes(
    guarded: Proxy, account: Simulator, evil: Evil, attack: Attack, path: str
) -> None:
    fields = json.loads(json.dumps(attack.fields).replace(ELSEWHERE, evil.url))
    headers = {name: value.replace(ELSEWHERE, evil.url) for name, value in attack.headers.items()}
    text = f"<{attack.id} {path}>"
    answer = guarded.post(path, body(path, text) | fields, **headers)
    reached = [request["agent_id"] for request in account.requests(text)]
    assert (answer.status_code in {400, 401}, reached) == (
        attack.refused,
        [] if attack.refused else [account.environ["STACKSPOT_GENAI_AGENT_ID"]],
    ), answer.text
    assert evil.heard == []


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-4o",
        "stackspot/" + FORGED,
        FORGED,
        "azure/x",
        "litellm_proxy/x",
        "http://127.0.0.1",
        "*",
        " ",
        "a,b",
        7,
    ],
)
def test_a_model_of_another_shape_goes_nowhere(guarded: Proxy, evil: Evil, path: str, model: Any) -> None:
    answer = guarded.post(path, body(path, model=model))
    assert 400 <= answer.status_code < 500, answer.text
    assert evil.heard == []


@pytest.mark.parametrize(
    "path",
    [
        "/engines/{}/chat/completions",
        "/openai/deployments/{}/chat/completions",
        "/v1/chat/completions?model={}",
        "/v1/responses?model={}",
    ],
)
def test_a_model_in_the_path_or_the_query_opens_no_way_elsewhere(guarded: Proxy, evil: Evil, path: str) -> None:
    asked = body("/v1/responses" if "responses" in path else PATHS[0])
    del asked["model"]
    answers = [
        guarded.post(path.format("stackspot-chat"), asked | {"custom_llm_provider": "openai"}),
        guarded.post(path.format("stackspot-chat,stackspot-chat"), asked),
    ]
    assert [400 <= answer.status_code < 500 for answer in answers] == [True, True], [a.text for a in answers]
    assert evil.heard == []


@pytest.mark.parametrize("path", ["/v1beta/interactions", "/interactions", "/v1/videos", "/videos"])
def test_a_route_that_has_a_provider_of_its_own_asks_no_other_one_than_config_yaml_names(
    guarded: Proxy, account: Simulator, evil: Evil, path: str
) -> None:
    """LiteLLM puts `custom_llm_provider` into the bodies of these routes."""
    said = f"segredo {path}"
    interaction = path.endswith("interactions")
    answer = guarded.post(path, asked := {"model": "stackspot-chat", "input" if interaction else "prompt": said})
    assert (answer.status_code == 200, len(account.requests(said))) == (interaction, int(interaction)), answer.text
    for fields in ({"custom_llm_provider": "openai"}, {"api_base": evil.url}, {"model": "openai/gpt-4o"}):
        assert 400 <= guarded.post(path, asked | fields).status_code < 500
    assert len(account.requests(said)) == int(interaction)
    assert evil.heard == []


def test_no_client_waits_longer_than_the_operator_allows(guarded: Proxy, account: Simulator) -> None:
    def waited(name: str) -> str:
        account.script({"pieces": [f"{CANARY}-said"], "fault": "stall", "match": f"<{name}>"})
        headers = {name: "9999"} if name.startswith("x-") else {}
        asked = body(PATHS[0], f"<{name}>", stream=True) | ({} if headers else {name: 9999})
        return guarded.post(PATHS[0], asked, **headers).text

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for text in pool.map(waited, ["timeout", "stream_timeout", "request_timeout", "x-litellm-timeout"]):
            given_up = re.search(r"(?:sent nothing for|did not finish within) (\d+(?:\.\d)?) s", text)
            assert given_up is not None, text
            assert float(given_up[1]) <= TIMEOUT


# --- keys -----------------------------------------------------------------------------------------------------------


ROUTES = [
    *(
        ("POST", prefix + path)
        for prefix in ("", "/v1")
        for path in ("/chat/completions", "/completions", "/embeddings")
    ),
    *(("POST", path) for path in ("/v1/messages", "/v1/messages/count_tokens", "/responses", "/v1/responses")),
    *(("POST", f"/{name}/stackspot-chat/chat/completions") for name in ("engines", "openai/deployments")),
    *(("POST", path) for path in (*GEMINI, "/v1beta/models/stackspot-chat:countTokens", "/v1beta/interactions")),
    *(("POST", path) for path in ("/v1/moderations", "/v1/images/generations", "/v1/audio/speech", "/v1/rerank")),
    *(
        ("GET", path)
        for path in ("/models", "/v1/models", "/v1/models/stackspot-chat", "/model/info", "/v1/model/info")
    ),
    *(
        ("GET", path)
        for path in ("/v1/responses/x", "/v1/files", "/v1/batches", "/health", "/health/services", "/settings")
    ),
    *(("GET", path) for path in ("/get/config/callbacks", "/config/list", "/key/info", "/spend/logs", "/global/spend")),
    *(
        ("POST", path)
        for path in ("/key/generate", "/model/new", "/config/update", "/user/new", "/utils/token_counter")
    ),
]


@pytest.mark.parametrize(
    "key",
    [None, "sk-wrong-wrong-wrong", "wrong", MASTER_KEY[:-1], MASTER_KEY + "x"],
    ids=["none", "another", "of no form", "without its end", "with one more character"],
)
def test_no_route_works_without_the_right_key(guarded: Proxy, key: str | None) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=guarded.url, headers=headers, trust_env=False, timeout=60) as client:
        for method, path in ROUTES:
            answer = client.request(method, path, json=None if method == "GET" else {})
            assert answer.status_code == 401, (method, path, answer.text)
            shape = {"type", "message"} if path.startswith("/v1/messages") else {"message", "type", "param", "code"}
            shape = {"code", "message", "status"} if path.startswith("/v1beta/models") else shape
            assert set(answer.json()["error"]) >= shape, (method, path, answer.text)


@pytest.mark.parametrize("path", EVERY_PATH)
def test_a_named_key_works_as_the_master_key_does(guarded: Proxy, path: str) -> None:
    for key in (NAMED_KEY, MASTER_KEY):
        for name, value in (("Authorization", f"Bearer {key}"), ("x-api-key", key)):
            answer = httpx.post(f"{guarded.url}{path}", json=body(path), headers={name: value}, trust_env=False)
            assert answer.status_code == 200, (name, answer.text)


def test_a_named_key_configures_nothing(guarded: Proxy) -> None:
    caller = replace(guarded, key=NAMED_KEY)
    for path in ("/key/generate", "/model/new", "/config/update", "/user/new", "/team/new"):
        assert caller.post(path, {"model_name": "x", "litellm_params": {"model": "openai/x"}}).status_code >= 400


SPENDING = [
    *(
        ("POST", f"/{provider}/v1/chat")
        for provider in ("cohere", "mistral", "openrouter", "anthropic", "openai", "azure", "bedrock", "vertex_ai")
    ),
    *(("POST", f"/v1/{path}") for path in ("moderations", "rerank", "images/generations", "audio/speech", "search")),
    *(("GET", f"/v1/{path}") for path in ("containers", "files", "batches", "fine_tuning/jobs", "vector_stores")),
    *(("POST", f"/utils/{path}") for path in ("transform_request", "token_counter")),
    *(
        ("GET", path)
        for path in ("/model/info", "/v1/model/info", "/model_group/info", "/routes", "/metrics", "/key/info")
    ),
    ("POST", "/openai_passthrough/v1/chat/completions"),
    ("POST", "/gemini/v1beta/models/gemini:generateContent?key={key}"),
    ("POST", "/cohere/mcp"),
    ("POST", "/queue/chat/completions"),
    ("POST", "/v1beta/interactions"),
]


@pytest.mark.parametrize(("method", "path"), SPENDING)
def test_a_named_key_calls_no_route_that_spends_the_operators_other_keys(
    guarded: Proxy, evil: Evil, method: str, path: str
) -> None:
    asked = {"model": "command-r", "message": "Oi", "query": "Oi", "documents": ["a"], "prompt": "a", "input": "a"}
    url = f"{guarded.url}{path.format(key=NAMED_KEY)}"
    answer = httpx.request(
        method, url, headers=replace(guarded, key=NAMED_KEY).headers, json=asked, timeout=60, trust_env=False
    )
    assert answer.status_code == 403, answer.text
    assert f"'team-a' may not call '{method} {path.partition('?')[0]}'" in answer.json()["error"]["message"]
    assert evil.heard == []


@pytest.mark.parametrize(
    "path",
    [
        b"/cohere//v1/chat",
        b"//cohere/v1/chat",
        b"/v1/%2e%2e/cohere/v1/chat",
        b"/v1/chat/completions/../../../cohere/v1/chat",
        b"/cohere/%2e%2e/v1/chat/completions",
        b"/%63ohere/v1/chat",
        b"/cohere/v1/chat/",
        b"/COHERE/v1/chat",
        b"/cohere/v1/chat/completions",
        b"/engines/../cohere/chat/completions",
        b"/openai/deployments/../chat/completions",
        b"/v1/models/../../cohere/v1/chat",
        b"/cohere/mcp",
        b"/cohere%2fmcp",
        b"/v1/chat/completions%2f..%2f..%2fcohere",
        b"/v1/responses/..%2f..%2ffiles",
    ],
)
def test_no_other_spelling_of_a_path_leads_a_named_key_elsewhere(guarded: Proxy, evil: Evil, path: bytes) -> None:
    headers = {"Authorization": f"Bearer {NAMED_KEY}".encode()}
    answer = raw(guarded, path.decode(), json.dumps(body(PATHS[0])).encode(), headers)
    assert answer.split(b" ", 2)[1] in {b"307", b"400", b"403", b"404", b"405"}, answer
    assert evil.heard == []


def test_the_routes_of_a_key_are_its_own(guarded: Proxy) -> None:
    def status(key: str, path: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.get(f"{guarded.url}{path}", headers=headers, timeout=60, trust_env=False).status_code

    paths = ("/metrics/", "/v1/model/info", "/model_group/info")
    assert [status(TOOLS_KEY, path) for path in paths] == [200] * 3
    assert [status(NAMED_KEY, path) for path in paths] == [403] * 3
    assert replace(guarded, key=TOOLS_KEY).post("/mistral/v1/chat", {}).status_code == 403
    for path in EVERY_PATH:
        assert replace(guarded, key=TOOLS_KEY).post(path, body(path)).status_code == 200


REACHABLE = [
    *(
        "/v1/models",
        "/models",
        "/v1/models?include_metadata=true",
        "/v1/models/by-agent-id",
        "/v1/models/stackspot-chat",
    ),
    *(
        "/health",
        "/health/",
        "/health/readiness",
        "/health/liveliness",
        "/v1/model/info",
        "/model_group/info",
        "/trace-check",
    ),
    *(
        "/openapi.json",
        "/health/services?service=datadog",
        "/healthz",
        "/",
        "/public/model_hub",
        "/v1/model/info?litellm_model_id=m-1",
    ),
]


def test_no_team_sees_agents_addresses_and_realm(guarded: Proxy, account: Simulator, evil: Evil) -> None:
    """The named key may see the reports of models because the file allows it; it sees names only."""
    agent = account.environ["STACKSPOT_GENAI_AGENT_ID"]
    secrets = [agent, account.url.partition("://")[2], evil.url.partition("://")[2], "'simulator'"]
    seen: dict[str, str] = {}
    with httpx.Client(base_url=guarded.url, trust_env=False, timeout=60, follow_redirects=True) as client:
        for key in (TOOLS_KEY, NAMED_KEY):
            client.headers["Authorization"] = f"Bearer {key}"
            for path in REACHABLE:
                answer = client.get(path)
                seen[f"{key} {path}"] = f"{answer.headers} {answer.text}"
        for path in EVERY_PATH:
            route = path.replace("stackspot-chat", "by-agent-id")
            for play in (
                {"text": "Oi"},
                {"status": 400},
                {"status": 404},
                {"status": 500},
                {"status": 401, "times": 2},
            ):
                for stream in (False, True):
                    account.script(play)
                    said = body(path, stream=stream) | ({} if path in GEMINI else {"model": "by-agent-id"})
                    answer = client.post(route, json=said)
                    seen[f"{path} {play} {stream}"] = f"{answer.headers} {answer.text}"
        account.script()
        client.headers["Authorization"] = f"Bearer {MASTER_KEY}"
        for_operator = client.get("/v1/model/info").text + client.get("/health").text
    for where, text in seen.items():
        assert [secret for secret in secrets if secret in text] == [], where
    assert for_operator.count(agent) >= 2
    health = json.loads(seen[f"{NAMED_KEY} /health"].partition("}) ")[2])
    assert {"model": "by-agent-id", "model_id": "m-1"} in health["healthy_endpoints"]


def test_a_named_key_has_its_own_rate(guarded: Proxy) -> None:
    limited, other = replace(guarded, key=LIMITED_KEY), replace(guarded, key=NAMED_KEY)
    # The minute of the limiter may end between two calls.
    answers = [limited.post(path, body(path)) for path in PATHS * 2]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    assert len(refused) >= 2
    for answer in refused:
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert "Rate limit" in answer.json()["error"]["message"]
    assert other.post(PATHS[0], body(PATHS[0])).status_code == 200


# --- conversations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_two_callers_with_one_correlation_id_never_share_an_answer(
    guarded: Proxy, account: Simulator, path: str, stream: bool
) -> None:
    text = f"segredo {path} {stream}"
    account.script({"text": "para a primeira", "match": text}, {"text": "para a segunda", "match": text})
    asked = body(path, text, stream=stream)
    told = [
        replace(guarded, key=key).post(path, asked, **{"correlation-id": "one-and-the-same"}).text
        for key in (NAMED_KEY, MASTER_KEY)
    ]
    assert ["primeira" in told[0], "segunda" in told[0]] == [True, False]
    assert ["primeira" in told[1], "segunda" in told[1]] == [False, True]


@pytest.mark.parametrize("path", EVERY_PATH)
def test_a_callers_own_cache_key_finds_nothing(guarded: Proxy, account: Simulator, path: str) -> None:
    account.script({"text": "para a primeira", "match": f"chave {path}"})
    cached = {"caching": True, "cache": {"use-cache": True, "namespace": "n"}}
    first = guarded.post(path, body(path, f"chave {path}") | cached)
    second = replace(guarded, key=NAMED_KEY).post(path, body(path, f"chave {path}") | cached)
    assert ("primeira" in first.text, "primeira" in second.text) == (True, False)


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize(
    ("value", "status"),
    [(b"c-1", 200), (b"~" * 128, 200), (b"x" * 129, 400), ("ação".encode(), 400), (b"a\tb", 400), (b"a\x00b", 400)],
)
def test_a_correlation_id_is_short_and_printable(guarded: Proxy, path: str, value: bytes, status: int) -> None:
    headers = {"Authorization": f"Bearer {guarded.key}".encode(), "correlation-id": value}
    answer = raw(guarded, path, json.dumps(body(path)).encode(), headers)
    assert answer.split(b" ", 2)[1] == str(status).encode(), answer[:300]


@pytest.mark.parametrize("path", EVERY_PATH)
def test_a_correlation_id_in_a_body_forges_no_line(guarded: Proxy, account: Simulator, path: str) -> None:
    forged = "a\r\nINFO custom_handler: forged-line"
    for fields in ({"extra_headers": {"correlation-id": forged}}, {"headers": {"x-correlation-id": forged}}):
        answer = guarded.post(path, body(path, f"forjado {path}") | fields)
        assert answer.status_code in {200, 400}
    assert all("forged" not in request["headers"]["correlation-id"] for request in account.requests(f"forjado {path}"))
    assert "\nINFO custom_handler: forged-line" not in guarded.log.read_text()


def raw(proxy: Proxy, path: str, content: bytes, headers: dict[str, bytes]) -> bytes:
    """Send bytes that no client library would, and return the head of the answer."""
    lines = b"".join(b"%s: %s\r\n" % (name.encode(), value) for name, value in headers.items())
    head = b"POST %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n" % path.encode()
    length = b"" if "transfer-encoding" in headers else b"content-length: %d\r\n" % len(content)
    with socket.create_connection(("127.0.0.1", int(proxy.url.rsplit(":", 1)[1])), timeout=60) as connection:
        with contextlib.suppress(ConnectionError):  # refused before the end
            connection.sendall(head + length + lines + b"\r\n" + content)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


# --- bodies that hurt -----------------------------------------------------------------------------------------------


def tools(path: str, count: int, schema: Any) -> list[dict[str, Any]]:
    """Offer that many tools in the words of a protocol."""
    names = [f"tool_{number}" for number in range(count)]
    if path in GEMINI:
        return [{"functionDeclarations": [{"name": name, "parametersJsonSchema": schema} for name in names]}]
    if path == "/v1/messages":
        return [{"name": name, "description": "", "input_schema": schema} for name in names]
    if path == "/v1/responses":
        return [{"type": "function", "name": name, "parameters": schema} for name in names]
    return [{"type": "function", "function": {"name": name, "parameters": schema}} for name in names]


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"a": value}
    return value


def heavy(path: str) -> dict[str, str]:
    """Return the bodies that hurt, as JSON."""
    key = "contents" if path in GEMINI else "input" if path == "/v1/responses" else "messages"
    roles = ("user", "model") if path in GEMINI else ("user", "assistant")
    said = [{"parts": [{"text": "m"}]} if path in GEMINI else {"content": f"m {number}"} for number in range(5_000)]
    turns = [{"role": roles[number % 2], **turn} for number, turn in enumerate(said)]
    deep = json.dumps(body(path))[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    return {
        "100,000 levels": deep,
        "100,000 objects": deep.replace("[" * 100_000, '{"a":' * 100_000 + "1").replace("]" * 100_000, "}" * 100_000),
        "900 levels": json.dumps(body(path, x=nested(900))),
        "a schema of 400 levels": json.dumps(body(path, tools=tools(path, 1, {"type": "object", "x": nested(400)}))),
        "a schema of 50 levels": json.dumps(body(path, tools=tools(path, 1, {"type": "object", "x": nested(50)}))),
        "5,000 messages": json.dumps(body(path) | {key: turns}),
        "2,000 tools": json.dumps(body(path, tools=tools(path, 2000, {"type": "object", "properties": {}}))),
        "half of it": json.dumps(body(path))[:-5],
    } | ({"30 MB": json.dumps(body(path, "x" * 30_000_000))} if path == PATHS[0] else {"40 MB": "x" * 40_000_000})


EXPECTED = {"a schema of 50 levels": 200, "5,000 messages": 200, "2,000 tools": 200, "40 MB": 413}


def memory(proxy: Proxy) -> int:
    """Return the proxy's resident memory, in MiB."""
    status = Path(f"/proc/{proxy.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024


def test_a_body_that_hurts_gets_an_answer_or_a_4xx_and_the_others_go_on(guarded: Proxy) -> None:
    worst, stop = 0.0, threading.Event()

    def watch() -> None:
        nonlocal worst
        with httpx.Client(base_url=guarded.url, trust_env=False, timeout=60) as client:
            while not stop.is_set():
                started = time.monotonic()
                client.get("/health/liveliness")
                worst = max(worst, time.monotonic() - started)

    before = memory(guarded)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        watching = pool.submit(watch)
        try:
            for path in EVERY_PATH[:-1]:
                for name, content in heavy(path).items():
                    headers = guarded.headers | {"content-type": "application/json"}
                    answer = httpx.post(
                        f"{guarded.url}{path}", content=content, headers=headers, timeout=60, trust_env=False
                    )
                    assert answer.status_code == EXPECTED.get(name, 400), (path, name, answer.text[:500])
                    assert internals(answer.text) is None, (path, name)
        finally:
            stop.set()
        watching.result()
    grown = memory(guarded) - before
    print(f"\nlongest wait of others {worst:.2f} s, resident memory {before} MiB + {grown} MiB")
    assert grown < 400


@pytest.mark.parametrize("path", EVERY_PATH)
def test_a_wrong_type_is_the_callers_error(guarded: Proxy, path: str) -> None:
    wrong = {
        "timeout": "abc",
        "stream_timeout": {},
        "max_retries": "x",
        "tags": 5,
        "litellm_trace_id": {},
        "tool_choice": 5,
        "tools": tools(path, 1, "x"),
    }
    if path in GEMINI:
        wrong |= {"contents": 5, "systemInstruction": "x", "generationConfig": "x", "toolConfig": []}
        wrong |= {"contents ": [{"role": "user", "parts": [5]}], "contents  ": [{"role": "system", "parts": []}]}
    asked = [[], "x", 7, None, *(body(path) | {name.strip(): value} for name, value in wrong.items())]
    headers = guarded.headers | {"content-type": "application/json"}
    for content in map(json.dumps, asked):
        answer = httpx.post(f"{guarded.url}{path}", content=content, headers=headers, timeout=60, trust_env=False)
        assert (answer.status_code, "must be" in answer.json()["error"]["message"]) == (400, True), (
            content,
            answer.text,
        )


def test_a_body_without_a_length_is_cut_off_and_needs_no_key(guarded: Proxy) -> None:
    chunk = b"%x\r\n%s\r\n" % (1024 * 1024, b"x" * 1024 * 1024)
    answer = raw(guarded, PATHS[0], chunk * 40 + b"0\r\n\r\n", {"transfer-encoding": b"chunked"})
    assert answer.split(b" ", 2)[1:2] in ([b"413"], []), answer[:300]  # or the connection is closed before it is read
    assert guarded.post(PATHS[0], body(PATHS[0])).status_code == 200


# --- what shows -----------------------------------------------------------------------------------------------------


def internals(text: str) -> str | None:
    """Return the first trace of the gateway's inside that a text shows."""
    found = re.search(rf"Traceback|site-packages|File \\?\"|\.py\b|{re.escape(str(ROOT))}|/tmp/|input_value", text)
    return found and found[0]


NONSENSE: dict[str, Any] = {
    "provider_specific_header": "x",
    "extra_headers": ["x"],
    "headers": "x",
    "kwargs": "x",
    "_async_prompt_merged_params": "x",
    "timeout": {"a": 1},
    "max_retries": "x",
    "tags": "x",
    "rules_obj": 1,
    "tools": "x",
    "litellm_params": "x",
}


@pytest.mark.parametrize("path", EVERY_PATH)
def test_nonsense_shows_no_traceback_and_no_path(guarded: Proxy, path: str) -> None:
    for name, value in NONSENSE.items():
        answer = guarded.post(path, body(path) | {name: value}, **{"accept-encoding": "gzip"})
        assert internals(answer.text) is None, (name, answer.text)
    for content in ("[]", "7", '{"model": {"a": 1}}', '{"messages": 1}'):
        headers = guarded.headers | {"content-type": "application/json"}
        answer = httpx.post(f"{guarded.url}{path}", content=content, headers=headers, trust_env=False)
        assert answer.status_code >= 400
        assert internals(answer.text) is None, (content, answer.text)


# LiteLLM's routes that need no key.
PUBLIC = (
    "/public/model_hub", "/public/agent_hub", "/public/mcp_hub", "/public/skill_hub", "/public/model_hub/info",
    "/public/providers", "/public/providers/fields", "/public/endpoints", "/public/agents/fields", "/public/autorouter_presets",
    "/public/litellm_model_cost_map", "/public/complexity_router/fuse_presets", "/get/ui_settings", "/get/ui_theme_settings",
    "/claude-code/marketplace.json", "/sso/callback", "/sso/key/generate", "/sso/debug/login", "/sso/debug/callback",
    "/fallback/login", "/get_logo_url", "/get_favicon", "/robots.txt", "/.well-known/litellm-ui-config", "/v1/mcp/registry.json",
    "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
    "/.well-known/jwks.json", "/.well-known/agent-skills/index.json", "/authorize", "/callback", "/health/drain",
)  # fmt: skip
WITHOUT_DATABASE = ("/public/skill_hub", "/get/ui_settings", "/claude-code/marketplace.json", "/sso/callback")


def test_no_public_route_fails_without_a_database(guarded: Proxy) -> None:
    with httpx.Client(base_url=guarded.url, trust_env=False, timeout=60) as web:
        answers = {path: web.get(path) for path in PUBLIC}
    assert {path: answer.status_code for path, answer in answers.items() if answer.status_code >= 500} == {}
    for path in WITHOUT_DATABASE:
        assert (answers[path].status_code, answers[path].json()["error"]["type"]) == (404, "invalid_request_error")
        assert "This route needs a database" in answers[path].json()["error"]["message"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_key_is_refused_langfuse_by_name_and_the_master_key_reaches_it(
    guarded: Proxy, evil: Evil, method: str
) -> None:
    """LiteLLM reads Basic authentication only there; a key in another form was a 500, and closed the connection."""
    path, heard = f"/langfuse/api/{method.lower()}", len(evil.heard)
    basic = "Basic " + base64.b64encode(f"pk:{NAMED_KEY}".encode()).decode()
    with httpx.Client(base_url=guarded.url, trust_env=False, timeout=60) as web:
        for headers in ({"authorization": f"Bearer {NAMED_KEY}"}, {"authorization": basic}, {"x-api-key": NAMED_KEY}):
            refused = web.request(method, path, headers=headers)
            assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error"), headers
            assert f"{method} {path}" in refused.json()["error"]["message"]
        for headers in ({}, {"authorization": "Bearer sk-wrong"}, {"authorization": "Basic x"}):
            assert web.request(method, path, headers=headers).status_code == 401, headers
        assert len(evil.heard) == heard
        web.request(method, path, headers=guarded.headers)
        assert web.get("/health/liveliness").status_code == 200
    if method == "POST":
        assert any(line.startswith(path.removeprefix("/langfuse")) for line in evil.heard[heard:])


def test_an_answer_on_gemini_leaves_no_traceback_in_the_log(guarded: Proxy, account: Simulator) -> None:
    account.reset()
    account.configure(client_secret=SECRET)
    begun = len(guarded.log.read_text())
    assert guarded.post(GEMINI[0], body(GEMINI[0])).status_code == 200
    assert guarded.post("/v1/chat/completions", body("/v1/chat/completions")).status_code == 200
    assert "Traceback" not in guarded.log.read_text()[begun:]


CALL = f'{CANARY}-said\nFUNCTION_CALL_START\nget_weather\narguments: {{"city": "{CANARY}-argument"}}\nFUNCTION_CALL_END'
DETAILS = {"code": "X_1", "details": "an error's details, which its message quotes"}
PLAYS: list[dict[str, Any]] = [
    {"text": CALL},
    {"text": CALL[:-30]},
    {"status": 400, "body": DETAILS},
    {"status": 500, "body": f"<html>{CANARY}-page</html>"},
    {"text": "a", "fault": "error_frame", "body": DETAILS},
    {"frames": [f"{CANARY}-frame", {"message": f"{CANARY}-said"}]},
    {"raw": [base64.b64encode(f"{CANARY}-raw".encode()).decode()]},
    {"text": f"{CANARY}-said", "fault": "reset_within"},
    {"status": 401, "times": 2},
]


def test_nothing_that_anybody_said_and_no_secret_shows_anywhere(guarded: Proxy, account: Simulator) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    refusals = []
    for number, play in enumerate(PLAYS):
        path = PATHS[number % 3]
        for stream in (False, True):
            account.script(play)
            asked = body(path, f"{CANARY}-question", stream=stream, tools=tools(path, 1, schema))
            asked["tools"][0].get("function", asked["tools"][0])["name"] = "get_weather"
            answer = guarded.post(path, asked)
            if answer.status_code != 200:
                refusals.append(answer.text)
    wrong = body(PATHS[0], f"{CANARY}-question") | {"tool_choice": f"{CANARY}-choice", "api_key": f"{CANARY}-key"}
    refusals.append(guarded.post(PATHS[0], wrong).text)
    refusals.append(replace(guarded, key=f"sk-{CANARY}-wrong").post(PATHS[0], wrong).text)
    shown = {path: httpx.get(f"{guarded.url}{path}", headers=guarded.headers, follow_redirects=True, timeout=60, trust_env=False)
             for path in ("/metrics/", "/health", "/v1/models", "/v1/model/info", "/health/readiness")}  # fmt: skip
    told = {path: answer.text for path, answer in shown.items()}
    assert {answer.status_code for answer in shown.values()} == {200}
    assert "litellm_" in told["/metrics/"]
    assert "Tool calls: get_weather" in guarded.log.read_text()
    assert len(refusals) > 8
    for where, text in (told | {"refusals": "\n".join(refusals), "the log": guarded.log.read_text()}).items():
        for secret in (CANARY, SECRET, MASTER_KEY, NAMED_KEY, "canary-azure", "sk-canary", "eyJ"):
            lines = [line for line in text.splitlines() if secret in line]
            assert lines == [], (where, secret)
