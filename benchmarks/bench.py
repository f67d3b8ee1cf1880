"""The servers, the load generator, and rounds that alternate between the models."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from . import texts
from .load import Job, LoadGenerator, Outcome
from .servers import KEY, OPENAI, STACKSPOT, Proxy, Simulator, proxy, simulator

MODELS = (STACKSPOT, OPENAI)
SIDES = MappingProxyType({STACKSPOT: "stackspot", OPENAI: "openai"})
_RESPONSES = (
    {"match": "whole", "text": "A short answer of a few words.", "cadence": 0, "delay_first": 0},
    {"match": "burst", "pieces": texts.DELTAS, "cadence": 0, "delay_first": 0},
    {"match": "paced", "pieces": texts.DELTAS, "stamped": True, "cadence": 0.02, "delay_first": 0},
)


@dataclass(frozen=True)
class Size:
    """How much is measured; a row may use a fraction of the rounds and requests."""

    rounds: int
    requests: int
    streams: int
    seconds: float
    largest: int


FULL = Size(rounds=6, requests=60, streams=200, seconds=12.0, largest=10_000_000)
QUICK = Size(rounds=2, requests=16, streams=20, seconds=3.0, largest=300_000)


@dataclass(frozen=True)
class Bench:
    """The running servers and the load generator, for the rows."""

    directory: Path
    size: Size
    simulator: Simulator
    proxy: Proxy
    load: LoadGenerator

    def script(self) -> None:
        """Let the simulator give the texts that the prompts select."""
        self.simulator.script(*({**response, "times": "always"} for response in _RESPONSES))

    def job(self, model: str, prompt: str, requests: int, clients: int = 4, server: Proxy | None = None) -> Job:
        """Return a job for one of the models; the prompt selects the scripted response."""
        url = f"{(server or self.proxy).url}/v1/chat/completions"
        return Job(url, KEY, model, prompt, stream=prompt != "whole", clients=clients, requests=requests)

    def alternate(
        self, prompt: str, requests: int, rounds: int, clients: int = 4
    ) -> Iterator[tuple[str, Outcome, float]]:
        """Warm up, then run the job for both models in rounds.

        Yields model, outcome and CPU seconds of the proxy.
        """
        for model in MODELS:
            self.load.run(self.job(model, prompt, clients, clients))
        for number in range(rounds):
            for model in MODELS if number % 2 else reversed(MODELS):
                before = self.proxy.cpu()
                outcome = self.load.run(self.job(model, prompt, requests, clients))
                yield model, outcome, self.proxy.cpu() - before


@contextlib.contextmanager
def open_bench(directory: Path, size: Size) -> Iterator[Bench]:
    """Start the simulator, the proxy and the load generator, all on loopback."""
    environ = {"STACKSPOT_MAX_ANSWER_CHARS": str(2 * size.largest)}
    with (
        simulator(directory) as upstream,
        proxy(directory, upstream, environ=environ) as server,
        LoadGenerator() as load,
    ):
        bench = Bench(directory, size, upstream, server, load)
        bench.script()
        yield bench
