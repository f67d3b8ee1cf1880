"""Count prompts with the tokenizer that LiteLLM ships, and report the agent's probable count.

LiteLLM has the file of cl100k_base in its package, so nothing is downloaded. It encodes 1 MB in
about 0.1 s, without the interpreter's lock; long prompts are encoded on a thread, and of very long
ones only samples.
"""

from __future__ import annotations

import asyncio
import functools
import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..chat.token_estimate import PromptSize, TokenEstimator
from ..data_class import data_class
from ..request.context import add_response_header, current_request

if TYPE_CHECKING:
    from tiktoken import Encoding

HEADER = "x-stackspot-prompt-tokens"
"""The response header with the estimated tokens of the prompt, labels and tools included."""

WINDOW = 2000  # characters that are encoded at once: one long word takes more than linear time
MAX_WINDOWS = 64
AT_ONCE = 4000  # characters that are encoded on the event loop, in less than 1 ms
REPORT_TIMEOUT = 1.0
"""Seconds that a response may wait for its estimate; without it, the header is missing."""

COUNT_TIMEOUT = 30.0
"""Seconds that a request may wait that asks for the estimate only."""


@data_class
class Measured:
    """The size of a prompt, and the tokens that its agent will probably count."""

    size: PromptSize
    estimate: int


@functools.cache
def tokenizer() -> Any:
    """Return LiteLLM's tokenizer; to load it takes 0.2 s, before the proxy is ready."""
    from litellm.litellm_core_utils.default_encoding import encoding  # noqa: PLC0415  see the docstring

    with suppress(Exception):  # another version of tiktoken may be built in another way
        release_ranks(encoding)
    return encoding


def release_ranks(encoding: Encoding) -> None:
    """Delete the dict of tokens that tiktoken keeps beside its own copy, and encodes nothing with.

    It takes 13 MiB. Who reads it, as to build another tokenizer of it, gets it from the file again.
    """
    from tiktoken import Encoding, get_encoding, registry  # noqa: PLC0415  only with the tokenizer

    name = encoding.name
    constructor = (registry.ENCODING_CONSTRUCTORS or {})[name]

    class Released(Encoding):
        """An encoding that reads its tokens from the file when someone asks for them."""

        def __getattr__(self, attribute: str) -> Any:
            if attribute == "_mergeable_ranks":
                return constructor()["mergeable_ranks"]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {attribute!r}")

        def __reduce__(self) -> Any:
            return get_encoding, (name,)

    if type(encoding) is Encoding:
        encoding.__class__ = Released
        del encoding._mergeable_ranks


def measure(prompt: str) -> PromptSize:
    """Return the size of a prompt; of more than 128,000 characters, evenly spaced windows count.

    >>> measure("Olá, tudo bem?").tokens
    6
    """
    windows = -(-len(prompt) // WINDOW)
    if windows <= MAX_WINDOWS:
        starts = range(0, len(prompt), WINDOW)
    else:
        starts = range(0, len(prompt) - WINDOW, (len(prompt) - WINDOW) // (MAX_WINDOWS - 1))
    pieces = [prompt[start : start + WINDOW] for start in starts]
    encoded, characters = map(tokenizer().encode_ordinary, pieces), sum(map(len, pieces))
    tokens = sum(map(len, encoded))
    return PromptSize(round(tokens * len(prompt) / characters) if characters else 0, len(prompt))


class PromptTokens:
    """The estimates of a provider, and the threads that encode long prompts.

    Requests that ask for the estimate only have a thread of their own: they use no quota, so any
    number of them may wait, and no answer waits behind them.
    """

    def __init__(self) -> None:
        self.estimator = TokenEstimator()
        self._threads: dict[bool, tuple[int, ThreadPoolExecutor]] = {}  # by `counts_only`

    def meter(self, agent: str, *, counts_only: bool = False) -> TurnMeter:
        """Return the PromptMeter of one turn; `counts_only`: it is not sent to the agent."""
        return TurnMeter(self, agent, counts_only=counts_only)

    def measure(self, agent: str, prompt: str, *, counts_only: bool = False) -> Future[Measured]:
        """Return a prompt's size and estimate: at once, or after a thread has encoded it."""
        if len(prompt) <= AT_ONCE:
            done: Future[Measured] = Future()
            done.set_result(self._measured(agent, prompt))
            return done
        process, thread = self._threads.get(counts_only, (None, None))
        if thread is None or process != os.getpid():  # no thread survives a fork
            thread = ThreadPoolExecutor(1, thread_name_prefix="stackspot-tokens")
            self._threads[counts_only] = os.getpid(), thread
        return thread.submit(self._measured, agent, prompt)

    def _measured(self, agent: str, prompt: str) -> Measured:
        size = measure(prompt)
        return Measured(size, self.estimator.estimate(agent, size))


class TurnMeter:
    """A PromptMeter that reports the estimate for its prompt, and learns from the agent's count."""

    def __init__(self, tokens: PromptTokens, agent: str, *, counts_only: bool = False) -> None:
        self._tokens = tokens
        self._agent = agent
        self._counts_only = counts_only
        self._measured: Future[Measured] | None = None
        self._prompt = ""

    def sent(self, prompt: str) -> None:
        """Start to measure a prompt, unless it is the one before."""
        if self._measured is None or prompt != self._prompt:
            self._prompt = prompt
            self._measured = self._tokens.measure(self._agent, prompt, counts_only=self._counts_only)

    def counted(self, tokens: int) -> None:
        """Learn from the agent's count, as soon as the prompt is measured."""
        if self._measured is not None:
            estimator, agent = self._tokens.estimator, self._agent
            self._measured.add_done_callback(lambda done: estimator.learn(agent, done.result().size, tokens))

    async def report(self, timeout: float = REPORT_TIMEOUT) -> None:
        """Set the estimate for the prompt in the current request's context and response headers.

        It is that of before the answer. After `timeout` seconds without one, nothing is set.
        """
        measured = self._measured
        if measured is None or (request := current_request()) is None:
            return
        if not measured.done():
            await asyncio.wait({asyncio.wrap_future(measured)}, timeout=timeout)
        if measured.done():
            request.prompt_tokens = measured.result().estimate
            add_response_header(HEADER, str(request.prompt_tokens))
