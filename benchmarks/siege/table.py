"""The attacks of `make siege`: one row and one function each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from . import agents, bodies, callers, floods, stores
from .ground import Ground, Outcome, Setup
from .schemas import LEVELS

# The account's budget is never reached, but Redis counts the requests.
_COUNTED = {"STACKSPOT_REQUESTS_PER_MINUTE": "60000"}

ONE = Setup("jobs in SQLite", environ=_COUNTED)
REDIS = Setup("jobs in Redis", jobs_in_redis=True, environ=_COUNTED)
NARROW = Setup("eight places at the agent", environ={"STACKSPOT_MAX_CONCURRENCY": "8"})
WORKERS = Setup("two workers", workers=2)


@dataclass(frozen=True, slots=True)
class Attack:
    """A row of the table. `memory`: the short form measures the memory after it, too."""

    name: str
    run: Callable[[Ground], Awaitable[Outcome]]
    setup: Setup = ONE
    quick: bool = True
    memory: bool = False


def _levels(levels: int) -> Attack:
    suffix = f", {levels} levels"
    run = bodies.schemas(f"Send chains of {levels} levels.", lambda attack: attack.name.endswith(suffix))
    return Attack(f"JSON Schemas: chains of {levels} levels", run, quick=levels == LEVELS[-1])


FIRST_CALLS = "the first calls of a process"  # each kind of call, on each protocol, before any attack

ATTACKS = (
    Attack("job store locked, ten /ingest", stores.sqlite_locked),
    Attack("Redis frozen, kept conversations", stores.redis_frozen_conversations),
    Attack("job flood", stores.job_flood),
    Attack("endless answers, whole", agents.endless_whole),
    Attack("endless answers, streamed", agents.endless_streamed, memory=True),
    Attack("frames without an end", agents.endless_frame),
    Attack("100,000 brackets from the agent", agents.brackets),
    Attack("400 kB of start markers from the agent", agents.start_markers),
    Attack("error frames from the agent", agents.error_frames),
    Attack("refusals in the words of vendors", agents.refusals),
    Attack("agents that hang, stall and trickle", agents.hanging),
    Attack("tokens: a slow and a refusing server", agents.tokens_slow, quick=False),
    Attack("imitated labels and headings", agents.labels),
    Attack("clients that leave by the hundred", agents.leaving),
    Attack("400 kB of markers and labels in messages", bodies.markers_in_messages),
    Attack("10,000 tools", bodies.many_tools),
    Attack("bodies of 20 and 40 MB", bodies.large_bodies, memory=True),
    Attack("deep and odd JSON bodies", bodies.deep_bodies),
    Attack("fields of wrong types", bodies.wrong_types),
    Attack("unknown models, names of 1 MB", floods.unknown_models),
    Attack("bodies of very many fields", floods.many_fields),
    Attack("multipart floods", floods.multipart),
    *map(_levels, LEVELS),
    Attack(
        "JSON Schemas: patterns, sizes, references",
        bodies.schemas("Send the other schemas.", lambda attack: not attack.name.endswith(" levels")),
    ),
    Attack("slow connections", callers.slow_connections),
    Attack("pass-through routes", callers.pass_through),
    Attack("reports of models and of health", callers.shown),
    Attack("imitated log lines", callers.log_lines),
    Attack("a queue of 500 calls", callers.filled_queue, NARROW, quick=False),
    Attack("places at the agent held", agents.held_places, NARROW, quick=False),
    Attack("Redis frozen, 24 GET /jobs", stores.redis_frozen, REDIS, quick=False),
    Attack("kill -9 of a worker with running jobs", stores.killed_worker, WORKERS, quick=False),
)
