"""The configuration files of clients that do not run here: what they name is there, and answers as the client asks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.processes import ROOT
from tests.support.proxy import Proxy, Simulator

HOST = "http://127.0.0.1:4000"
CALL = 'FUNCTION_CALL_START\nread_file\narguments: {"path": "a.py"}\nFUNCTION_CALL_END'
TOOL = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Reads a file",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
}


def read(name: str, proxy: Proxy) -> str:
    text = (ROOT / "examples" / name).read_text()
    assert HOST in text
    return text.replace(HOST, proxy.url)


def vs_code(proxy: Proxy) -> tuple[str, str]:
    [provider] = json.loads(read("vscode_copilot/chatLanguageModels.json", proxy))
    [model] = provider["models"]
    assert (provider["vendor"], provider["apiType"]) == ("customendpoint", "chat-completions")
    assert model["toolCalling"]
    return model["url"], model["id"]


def zed(proxy: Proxy) -> tuple[str, str]:
    settings = json.loads(read("zed/settings.json", proxy))
    [(name, provider)] = settings["language_models"]["openai_compatible"].items()
    [model] = provider["available_models"]
    assert settings["agent"]["default_model"] == {"provider": name, "model": model["name"]}
    assert (model["capabilities"]["tools"], model["capabilities"]["chat_completions"]) == (True, True)
    return f"{provider['api_url']}/chat/completions", model["name"]


def junie(proxy: Proxy) -> tuple[str, str]:
    profile = json.loads(read("jetbrains/stackspot.json", proxy))
    assert (profile["apiType"], profile["apiKey"]) == ("OpenAICompletion", "${LITELLM_MASTER_KEY}")
    return profile["baseUrl"], profile["id"]


def ai_assistant(proxy: Proxy) -> tuple[str, str]:
    """What the documents say to enter in the window of JetBrains AI Assistant, which reads no file."""
    [row] = re.findall(r"^\| JetBrains AI Assistant \|.*", (ROOT / "docs/clients.md").read_text(), re.MULTILINE)
    base, model = re.search(r"base URL `(.*?)`, .*model `(.*?)`", row).groups()
    return f"{base.replace(HOST, proxy.url)}/chat/completions", model


def goose(proxy: Proxy) -> tuple[str, str]:
    settings = dict(re.findall(r"\b([A-Z_]+)=(\S+)", read("goose/goose.sh", proxy)))
    assert settings["GOOSE_PROVIDER"] == "openai"
    return f"{settings['OPENAI_HOST']}/v1/chat/completions", settings["GOOSE_MODEL"]


@pytest.mark.parametrize("client", [vs_code, zed, junie, ai_assistant, goose], ids=lambda client: client.__name__)
def test_what_a_client_is_told_answers_with_a_streamed_tool_call(
    client: Callable[[Proxy], tuple[str, str]], proxy: Proxy, simulator: Simulator
) -> None:
    url, model = client(proxy)
    simulator.script({"text": CALL})
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Read a.py"}], "tools": [TOOL]}
    body |= {"stream": True, "stream_options": {"include_usage": True}, "max_completion_tokens": 16000}
    answer = proxy.post(url.removeprefix(proxy.url), body)
    assert answer.status_code == 200, answer.text
    assert '"name":"read_file"' in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


def test_what_open_webui_is_told_lists_the_model_that_it_starts_with(proxy: Proxy) -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", read("open_webui/open-webui.env", proxy), re.MULTILINE))
    url = f"{settings['OPENAI_API_BASE_URL']}/models"
    models = httpx.get(url, headers=proxy.headers, trust_env=False).raise_for_status().json()["data"]
    assert settings["DEFAULT_MODELS"] in [model["id"] for model in models]
    assert json.loads(settings["DEFAULT_MODEL_METADATA"]) == {"capabilities": {"builtin_tools": False}}


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/*/*")), ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_example_leads_to_the_proxy_with_no_key_of_its_own(file, proxy: Proxy) -> None:
    text = file.read_text()
    assert set(re.findall(r"https?://127\.0\.0\.1:\d+", text)) <= {HOST}
    assert not re.search(r"sk-\w", text)
    elsewhere = {"requirements.txt", "package.json"}  # and what their own scripts tell Gemini CLI and n8n
    assert HOST in text or file.name in elsewhere or file.parent.name in {"gemini_cli", "n8n"}
