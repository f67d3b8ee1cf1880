"""`make siege`: one team attacks the proxy with JSON Schemas, another team is timed.

Each schema of siege_attacks.py goes to each route, whole and streamed, and then into jobs during
which the proxy is killed twice (kill -9). A stall is the longest health probe during a call. A
stall above the limit is measured once more, and the shorter one counts, because other processes of
the machine cause stalls as well. The limit is 250 ms, or 500 ms with `--loaded` or after a probe of
more than 100 ms before the attacks. The exit code is 1 if a stall is above the limit, a call of the
other team failed, or an attack got no response.

    --quick              a few attacks, one route each, no jobs: at most a minute
    --only TEXT          the attacks whose name has the text
    --loaded             other work runs on this machine
    SIEGE_MINUTES   20   attacks that have not begun until then count as a failure
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from . import servers
from .siege_attacks import ATTACKS, PLAIN, Attack
from .siege_calls import ROUTES, Call, Result, call, scripted_responses
from .siege_jobs import run_jobs_with_kills
from .siege_other import Other, Seen, other_team

MINUTES = float(os.environ.get("SIEGE_MINUTES", "20"))
BASELINE_SECONDS = 10.0
LIMIT, LOADED_LIMIT, LOADED_BASELINE = 0.25, 0.5, 0.1
QUICK = (
    ("allOf, 40 levels", 0, False),
    ("oneOf, 22 levels", 1, True),
    ("recursion", 2, False),
    ("uniqueItems of 2,000 objects", 3, False),
    ("enum of 5,000 objects", 0, True),
    ("pattern with alternatives", 2, True),
    ("20,000 properties", 4, False),
)


@dataclass
class Siege:
    """The measurements so far."""

    limit: float = LIMIT
    longest: float = 0
    cpu: float = 0
    calls: int = 0
    chats: int = 0
    slowest_chat: float = 0
    unchecked: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)

    def add(self, what: str, result: Result, seen: Seen, cpu: float) -> None:
        """Add the result of a call, print its row, and list failures."""
        self.calls += 1
        self.longest, self.slowest_chat = max(self.longest, seen.stall), max(self.slowest_chat, seen.slowest_chat)
        self.cpu = max(self.cpu, cpu)
        self.chats += seen.chats
        if seen.stall > self.limit:
            self.failures.append(f"{what}: a stall of {seen.stall * 1000:.0f} ms")
        if seen.failed_chats:
            self.failures.append(f"{what}: {seen.failed_chats} calls of the other team failed")
        if not result.ended:
            self.failures.append(f"{what}: {result.outcome}")
        print(
            f"{what:66} {result.status or '-':>4} {result.seconds:7.2f} s {seen.stall * 1000:7.0f} ms "
            f"{seen.slowest_chat * 1000:7.0f} ms {cpu * 1000:7.0f} ms  {result.outcome}",
            flush=True,
        )

    def summary(self) -> int:
        """Print the totals and return the exit code."""
        print(f"{'calls of the attacker':44} {self.calls}")
        print(f"{'chats of the other team':44} {self.chats}")
        print(f"{'lines of the log: not checked':44} {self.unchecked}")
        print(f"{'slowest chat of the other team':44} {self.slowest_chat * 1000:.0f} ms")
        print(f"{'most CPU time of the proxy during a call':44} {self.cpu * 1000:.0f} ms")
        print(f"{'longest stall':44} {self.longest * 1000:.0f} ms (limit: {self.limit * 1000:.0f} ms)")
        for failure in self.failures:
            print(f"MISSED  {failure}")
        return 1 if self.failures else 0


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of both teams, and the file that names them."""

    attacker: str
    other: str
    file: Path


@dataclass(frozen=True, slots=True)
class Field:
    """A running proxy, the other team's process beside it, and the attacker's key."""

    proxy: servers.Proxy
    other: Other
    key: str


@contextmanager
def _field(directory: Path, upstream: servers.Simulator, keys: Keys) -> Iterator[Field]:
    environ = {
        "STACKSPOT_KEYS_FILE": str(keys.file),
        "STACKSPOT_JOBS_DIR": str(directory / "jobs"),
        "STACKSPOT_JOBS_LEASE": "2",
        "STACKSPOT_RUNS_DIR": str(directory / "runs"),
        "STACKSPOT_STARTUP_CHECK": "off",
    }
    with (
        servers.proxy(directory, upstream, environ=environ) as proxy,
        other_team(directory, proxy.url, keys.other) as other,
    ):
        yield Field(proxy, other, keys.attacker)


def _keys(directory: Path) -> Keys:
    attacker, other = (f"sk-{uuid.uuid4().hex}" for _ in range(2))
    file = directory / "keys.yaml"
    entries = [{"name": "attacker", "key": attacker}, {"name": "other-team", "key": other}]
    file.write_text(yaml.safe_dump({"keys": entries}))
    return Keys(attacker, other, file)


def _attack(siege: Siege, field: Field, one: Call) -> None:
    """Make a call, and repeat it if a stall is above the limit."""
    result, seen, cpu = _timed(field, one)
    if seen.stall > siege.limit:
        result, again, cpu = _timed(field, one)
        seen = seen.better(again)
    siege.add(one.name, result, seen, cpu)


def _timed(field: Field, one: Call) -> tuple[Result, Seen, float]:
    """Make a call; return its result, the other team's times and the proxy's CPU seconds."""
    cpu, began = field.proxy.cpu(), time.monotonic()
    result = call(field.proxy.url, field.key, one)
    seen = field.other.seen(began, time.monotonic())
    return result, seen, field.proxy.cpu() - cpu


def _quick_calls() -> Iterator[Call]:
    named = {attack.name: attack for attack in ATTACKS}
    for name, route, stream in QUICK:
        yield Call(named[name], ROUTES[route], stream=stream)


def _calls(attacks: Sequence[Attack]) -> Iterator[Call]:
    for attack in attacks:
        for route in ROUTES:
            yield from (Call(attack, route, stream=stream) for stream in (False, True))


def _baseline(siege: Siege, other: Other, seconds: float, *, loaded: bool) -> None:
    """Time the other team without an attack, and set the limit."""
    began = time.monotonic()
    time.sleep(seconds)
    seen = other.seen(began, time.monotonic())
    siege.limit = LOADED_LIMIT if loaded or seen.stall > LOADED_BASELINE else LIMIT
    print(
        f"without an attack, {seconds:.0f} s: longest stall {seen.stall * 1000:.0f} ms, slowest chat "
        f"{seen.slowest_chat * 1000:.0f} ms; load average {os.getloadavg()[0]:.1f}; limit {siege.limit * 1000:.0f} ms"
    )
    print(
        f"{'attack':66} {'HTTP':>4} {'call':>9} {'stall':>10} {'chat':>10} {'CPU':>10}  what the attacker got",
        flush=True,
    )


def run(*, quick: bool, loaded: bool, only: str = "") -> int:
    """Run all attacks, print the measurements and return the exit code."""
    deadline = time.monotonic() + MINUTES * 60
    siege = Siege()
    attacks = [attack for attack in (PLAIN, *ATTACKS) if only in attack.name or attack is PLAIN]
    with tempfile.TemporaryDirectory() as folder, servers.simulator(Path(folder)) as upstream:
        directory = Path(folder)
        keys = _keys(directory)
        upstream.script(*scripted_responses(attacks))
        print("The proxy starts …", flush=True)
        with _field(directory, upstream, keys) as field:
            for route in ROUTES:  # the first call of each imports modules
                call(field.proxy.url, field.key, Call(PLAIN, route, stream=False))
            _baseline(siege, field.other, 3 if quick else BASELINE_SECONDS, loaded=loaded)
            _all(siege, field, list(_quick_calls() if quick else _calls(attacks)), deadline)
        if not quick:
            upstream.script(*scripted_responses(attacks))  # and remove the recorded requests

            @contextmanager
            def start() -> Iterator[tuple[servers.Proxy, Other]]:
                with _field(directory, upstream, keys) as field:
                    yield field.proxy, field.other

            for what, result, seen in run_jobs_with_kills(start, upstream, keys.attacker, attacks):
                siege.add(what, result, seen, 0)
        siege.unchecked = sum(
            log.read_text(errors="replace").count("not checked: ") for log in directory.glob("proxy-*.log")
        )
    return siege.summary()


def _all(siege: Siege, field: Field, calls: Sequence[Call], deadline: float) -> None:
    for number, one in enumerate(calls):
        if time.monotonic() > deadline:
            siege.failures.append(f"{len(calls) - number} of {len(calls)} calls were left out: SIEGE_MINUTES is over")
            return
        _attack(siege, field, one)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.siege", description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a few attacks, no jobs")
    parser.add_argument("--loaded", action="store_true", help="other work runs on this machine: the limit is 500 ms")
    parser.add_argument("--only", default="", metavar="TEXT", help="the attacks whose name has the text")
    given = parser.parse_args()
    sys.exit(run(quick=given.quick, loaded=given.loaded, only=given.only))
