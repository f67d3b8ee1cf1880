"""Prompts are counted without a network, in little time, and as the agent's own tokenizer would count them."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import litellm
import pytest
from litellm.litellm_core_utils.default_encoding import encoding
from tiktoken import Encoding, get_encoding
from tokenizers import Tokenizer

from custom_handler.chat.token_estimate import PromptSize, TokenEstimator
from custom_handler.provider import prompt_tokens
from custom_handler.provider.prompt_tokens import HEADER, MAX_WINDOWS, WINDOW, PromptTokens, measure, tokenizer
from custom_handler.request.context import RequestContext
from tests.support.prompt_texts import code, portuguese, tools

AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture(scope="module")
def other() -> Tokenizer:
    """Another vendor's tokenizer, which LiteLLM ships too."""
    folder = Path(litellm.__file__).parent / "litellm_core_utils" / "tokenizers"
    return Tokenizer.from_file(str(folder / "anthropic_tokenizer.json"))


def prompts(simulator: Any, provider: Any, requests: list[dict[str, Any]]) -> list[str]:
    for request in requests:
        provider.completion("stackspot-chat", request["messages"], optional_params=request)
    return [record["prompt"] for record in simulator.requests("chat")]


def asked(text: str, count: int = 0) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Seja breve."}, {"role": "user", "content": text}]
    return {"messages": messages, **({"tools": tools(count)} if count else {})}


def test_five_counts_of_an_agent_teach_its_tokenizer(other: Tokenizer, simulator: Any, provider: Any) -> None:
    def count(prompt: str) -> int:
        return round(len(other.encode(prompt).ids) * 1.15) + 40

    first = [asked(portuguese(20)), asked(code(8)), asked("Procure.", 40), asked(portuguese(60)), asked(code(25))]
    later = [asked(portuguese(150)), asked(code(60)), asked(portuguese(30) + code(4), 40), asked(portuguese(8))]
    sent = prompts(simulator, provider, [*first, *later])
    tokens = PromptTokens()

    def error(prompt: str) -> float:
        return abs(tokens.estimator.estimate(AGENT, measure(prompt)) / count(prompt) - 1)

    assert max(map(error, sent)) < 0.25
    for prompt in sent[:5]:
        meter = tokens.meter(AGENT)
        meter.sent(prompt)
        meter.counted(count(prompt))
    tokens.measure(AGENT, portuguese(200)).result()  # the one thread has measured all before
    assert max(map(error, sent[5:])) < 0.10


def test_an_answer_waits_for_no_request_that_only_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, may_end = portuguese(100), threading.Event()

    def measured(prompt: str) -> PromptSize:
        if prompt == slow:
            may_end.wait(30)
        return PromptSize(len(prompt) // 4, len(prompt))

    monkeypatch.setattr(prompt_tokens, "measure", measured)
    tokens = PromptTokens()
    counting = tokens.measure(AGENT, slow, counts_only=True)
    try:
        assert tokens.measure(AGENT, portuguese(200)).result(20)
        assert not counting.done()
    finally:
        may_end.set()
    assert counting.result(20)


@pytest.mark.parametrize(
    "text", ["a" * 3_000_000, "ação ☀ " * 400_000, "\ud800" * 2_000_000], ids=["word", "words", "half"]
)
def test_a_huge_prompt_is_measured_by_samples(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        encoded = 0

        def encode_ordinary(self, piece: str) -> list[int]:
            assert len(piece) <= WINDOW
            self.encoded += 1
            return [0] * (len(piece) // 4)

    counted = Counted()
    monkeypatch.setattr(prompt_tokens, "tokenizer", lambda: counted)
    size = measure(text)
    assert size == PromptSize(len(text) // 4, len(text))
    assert counted.encoded <= MAX_WINDOWS + 1
    assert encoding.encode_ordinary(text[:10])  # no tokenizer fails on half a character


def test_samples_of_a_mixed_prompt_come_near_its_count() -> None:
    text = portuguese(3000) + code(800)
    exact = len(encoding.encode_ordinary(text))
    assert abs(measure(text).tokens / exact - 1) < 0.03


def test_an_empty_prompt_has_no_tokens() -> None:
    assert measure("") == PromptSize(0, 0)
    assert TokenEstimator().estimate(AGENT, measure("")) == 0


def test_a_long_prompt_is_measured_off_the_event_loop_and_reported() -> None:
    async def serve() -> RequestContext:
        with RequestContext({}).served() as request:
            meter = PromptTokens().meter(AGENT)
            await meter.report()
            assert HEADER not in request.response_headers  # nothing was sent
            meter.sent(portuguese(2000))
            await meter.report()
            return request

    request = asyncio.run(serve())
    assert request.prompt_tokens is not None
    assert request.response_headers == {HEADER: str(request.prompt_tokens)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_measures_on_a_thread_of_its_own() -> None:
    tokens, text = PromptTokens(), portuguese(500)
    measured = tokens.measure(AGENT, text).result()
    _, thread = tokens._threads[False]
    tokens._threads[False] = 0, thread  # as in a child, where the pid is another one
    assert tokens.measure(AGENT, text).result(timeout=60) == measured
    assert tokens._threads[False][1] is not thread


def test_the_answer_to_a_call_that_counts_asks_no_agent(simulator: Any, provider: Any) -> None:
    request = asked(portuguese(5), 3)

    async def count() -> tuple[int | None, int | None]:
        with RequestContext({}, counts_only=True).served() as counting:
            call = {"optional_params": request, "messages": request["messages"]}
            await provider.acompletion("stackspot-chat", **call)
        with RequestContext({}).served() as answered:
            await provider.acompletion("stackspot-chat", **call)
        return counting.prompt_tokens, answered.prompt_tokens

    estimated, sent_estimate = asyncio.run(count())
    [sent] = simulator.requests("chat")
    assert estimated == sent_estimate == TokenEstimator().estimate(AGENT, measure(sent["prompt"]))


def test_the_tokenizer_keeps_no_second_copy_of_its_tokens_but_reads_them_again_for_who_asks() -> None:
    released, text = tokenizer(), portuguese(5)
    assert released is encoding is get_encoding("cl100k_base")
    assert "_mergeable_ranks" not in vars(released)
    ranks = released._mergeable_ranks
    assert len(ranks) == 100_256
    built = Encoding(
        "same",
        pat_str=released._pat_str,
        mergeable_ranks=ranks,
        special_tokens=released._special_tokens,
    )
    assert built.encode(text) == released.encode(text)
    assert "_mergeable_ranks" not in vars(released)


def test_the_tokenizer_is_copied_and_pickled_by_its_name() -> None:
    assert isinstance(tokenizer(), Encoding)
    assert copy.deepcopy(tokenizer()) is tokenizer()
    assert pickle.loads(pickle.dumps(tokenizer())) is tokenizer()


def test_an_unknown_attribute_of_the_tokenizer_is_missing() -> None:
    assert not hasattr(tokenizer(), "no_such_attribute")
