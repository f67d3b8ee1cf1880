"""The measurements of `make siege` against its goals: lines of output, a table and results.json."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

from .other import Row, Seen

LIMIT, LOADED_LIMIT, LOADED_BASELINE = 0.25, 0.5, 0.1
MOST_GROWTH = 1.1
# Of the other team's chats, in seconds: the most of the median, and of the slowest one.
MOST_MEDIAN, MOST_LONGEST = 1.0, 5.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One attack, measured; times are seconds, memory is the resident MiB of the proxy's processes.

    `stall` is the longest health probe, without the time `waited` for which the proxy had no CPU.
    `began` and `ended` span all runs, on the monotonic clock. Memory is None where it was not measured. `failures` are what must not be.
    """

    name: str
    setup: str
    began: float
    ended: float
    seconds: float
    stall: float
    waited: float
    step: str
    chats: int
    chat_median: float
    chat_longest: float
    chat_failures: int
    memory_before: float | None
    memory_after: float | None
    said: str
    failures: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return the line of the attack for the terminal."""
        memory = "-" if self.memory_after is None else f"{self.memory_before:.0f} → {self.memory_after:.0f}"
        return (
            f"{self.name:42} {self.seconds:6.1f} s {_ms(self.stall)} {_ms(self.waited)} {_ms(self.chat_median)} "
            f"{_ms(self.chat_longest)} {self.chat_failures:3} of {self.chats:3}  {memory:>13}  "
            f"{'MISSED' if self.failures else 'held'}  {self.said}"
        )


HEAD = (
    f"{'attack':42} {'time':>8} {'stall':>8} {'no CPU':>8} {'chat p50':>8} {'longest':>8} {'failed':>10}  "
    f"{'memory, MiB':>13}  what the attacker got"
)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:5.0f} ms"


def judge(
    limit: float,
    faults: Sequence[str],
    seen: Seen,
    *,
    failed: Sequence[Row],
    memory: tuple[float, float] | None,
    step: str,
) -> list[str]:
    """Return the goals that an attack missed; `failed` are requests of the other team."""
    failures = list(faults)
    if seen.stall > limit:
        during = f" during {step!r}" if step else ""
        failures.append(
            f"a stall of {seen.stall * 1000:.0f} ms{during} (and {seen.waited * 1000:.0f} ms without a CPU)"
        )
    if failed:
        failures.append(f"{len(failed)} requests of the other team failed: {failed[0].kind}: {failed[0].wrong}")
    if seen.chat_median > MOST_MEDIAN or seen.chat_longest > MOST_LONGEST:
        failures.append(
            f"chats of the other team took {seen.chat_median:.2f} s (median), {seen.chat_longest:.2f} s (longest)"
        )
    if memory is not None and memory[1] > MOST_GROWTH * memory[0]:
        failures.append(f"memory grew from {memory[0]:.0f} to {memory[1]:.0f} MiB")
    return failures


@dataclass
class Report:
    """All attacks of a run, and what the machine was like."""

    limit: float
    baseline: Seen
    quick: bool
    conditions: dict[str, Any] = field(default_factory=dict)
    attacks: list[Measured] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Note the machine."""
        self.conditions = {
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "machine": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "litellm": version("litellm"),
            "load_average_before": os.getloadavg(),
        }

    def add(self, attack: Measured) -> None:
        """Add an attack, and print it."""
        self.attacks.append(attack)
        print("\n  ".join((attack.line(), *attack.failures)), flush=True)

    def as_json(self) -> dict[str, Any]:
        """Return the content of results.json."""
        return {
            "conditions": self.conditions | {"load_average_after": os.getloadavg()},
            "quick": self.quick,
            "limit": self.limit,
            "baseline": {
                "stall": self.baseline.stall,
                "waited": self.baseline.waited,
                "chat_median": self.baseline.chat_median,
                "chat_longest": self.baseline.chat_longest,
            },
            "attacks": [asdict(attack) for attack in self.attacks],
        }

    def finish(self) -> int:
        """Print the table, the totals and the missed goals; return the exit code."""
        print(f"\n{HEAD}")
        for attack in self.attacks:
            print(attack.line())
        longest = max(self.attacks, key=lambda attack: attack.stall)
        print(f"\n{'chats of the other team':32} {sum(attack.chats for attack in self.attacks)}")
        print(f"{'of them failed':32} {sum(attack.chat_failures for attack in self.attacks)}")
        print(f"{'longest stall':32} {_ms(longest.stall)} ({longest.name}; limit {_ms(self.limit).strip()})")
        print(f"{'longest stall without an attack':32} {_ms(self.baseline.stall)}")
        for attack in self.attacks:
            for failure in attack.failures:
                print(f"MISSED  {attack.name}: {failure}")
        return 1 if any(attack.failures for attack in self.attacks) else 0


def table(attacks: Sequence[dict[str, Any]]) -> str:
    """Return the table of results.json's attacks in Markdown."""
    lines = [
        "| attack | longest stall | the other team's chats: p50, longest, failed | memory, MiB | |",
        "|---|---|---|---|---|",
    ]
    for attack in attacks:
        before, after = attack["memory_before"], attack["memory_after"]
        memory = "" if after is None else f"{before:.0f} → {after:.0f}"
        chats = (
            f"{attack['chat_median'] * 1000:.0f} ms, {attack['chat_longest'] * 1000:.0f} ms, "
            f"{attack['chat_failures']} of {attack['chats']}"
        )
        verdict = "**missed**" if attack["failures"] else "held"
        lines.append(f"| {attack['name']} | {attack['stall'] * 1000:.0f} ms | {chats} | {memory} | {verdict} |")
    return "\n".join(lines) + "\n"


def to_json(report: Report) -> str:
    """Return results.json."""
    return json.dumps(report.as_json(), indent=1) + "\n"
