"""Two models of the proxy that are one agent with two models, through the real proxy."""

from __future__ import annotations

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from tests.support.protocols import STREAMED, ask_chat, ask_gemini, ask_messages, ask_responses
from tests.support.proxy import Proxy, Simulator

SENT = {
    "fast": {"selected_model": "gpt-5"},
    "deep": {"selected_model": "claude-sonnet-4.5", "agent_version_number": 2},
}


@STREAMED
def test_each_alias_asks_its_own_model_of_the_agent(priced: Proxy, simulator: Simulator, stream: bool) -> None:
    options = types.HttpOptions(base_url=priced.url, api_version="v1beta")
    with (
        openai.OpenAI(base_url=f"{priced.url}/v1", api_key=priced.key, max_retries=0) as gpt,
        anthropic.Anthropic(base_url=priced.url, auth_token=priced.key, max_retries=0) as claude,
        genai.Client(api_key=priced.key, http_options=options) as gemini,
    ):
        for name, fields in SENT.items():
            simulator.reset()
            ask_chat(gpt, "Oi", model=name, stream=stream)
            ask_responses(gpt, "Oi", model=name, stream=stream)
            ask_messages(claude, "Oi", model=name, stream=stream)
            ask_gemini(gemini, "Oi", model=name, stream=stream)
            requests = simulator.requests()
            assert len(requests) == 4
            for request in requests:
                plain = {"streaming": True, "stackspot_knowledge": False, "return_ks_in_response": False}
                assert request["body"] == {**plain, **fields}
            assert len({request["agent_id"] for request in requests}) == 1


def test_two_entries_of_one_alias_are_two_deployments(priced: Proxy, simulator: Simulator) -> None:
    """The router takes one of them at random: in forty calls both are asked, but once in 10^12 runs."""
    with openai.OpenAI(base_url=f"{priced.url}/v1", api_key=priced.key, max_retries=0) as gpt:
        for _ in range(40):
            ask_chat(gpt, "Oi", model="either")
    assert {request["body"]["agent_version_number"] for request in simulator.requests()} == {1, 2}


def test_a_client_cannot_choose(priced: Proxy, simulator: Simulator) -> None:
    with openai.OpenAI(base_url=f"{priced.url}/v1", api_key=priced.key, max_retries=0) as gpt:
        ask_chat(gpt, "Oi", model="fast", extra_body={"selected_model": "gpt-2", "agent_version_number": 9})
    [request] = simulator.requests()
    assert request["body"]["selected_model"] == "gpt-5"
    assert "agent_version_number" not in request["body"]


def test_a_refusal_names_the_option(priced: Proxy, simulator: Simulator) -> None:
    simulator.configure(agent_models=["claude-sonnet-4.5"])
    with (
        openai.OpenAI(base_url=f"{priced.url}/v1", api_key=priced.key, max_retries=0) as gpt,
        pytest.raises(openai.BadRequestError, match=r"model_info\.selected_model asks for: try without"),
    ):
        ask_chat(gpt, "Oi", model="fast")
