"""The results of an evaluation: a line of JSON for each task, and their summary by model."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from pydantic import TypeAdapter

from ..data_class import data_class
from ..errors import ConfigurationError
from ..report.page_file import is_page

PAGE = "evaluation.html"

OBEYED, REPAIRED, WRONG, REFUSED, FAILED = "obeyed", "repaired", "wrong", "refused", "failed"
VERDICTS = (OBEYED, REPAIRED, WRONG, REFUSED, FAILED)


@data_class
class Result:
    """What one model made of one task.

    `requests` are those to the model, with repairs and retries; `seconds` and the tokens are those
    of all of them. `reason` says why the verdict is not "obeyed". `digest` is that of the
    task, the wording and what answered: see `Contender.digest`. `prompt_characters` are those of
    the first prompt, which no reply has influenced; they are 0 where the provider is not ours.
    """

    model: str
    variant: str
    task: str
    kind: str
    digest: str
    verdict: str
    reason: str = ""
    requests: int = 0
    repairs: int = 0
    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    prompt_characters: int = 0

    @property
    def contender(self) -> str:
        """The model, with the prompt variant if it is not the default."""
        return f"{self.model} ({self.variant})" if self.variant else self.model

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What identifies the result; a later one replaces an earlier one."""
        return self.model, self.variant, self.task, self.digest


_LINE = TypeAdapter(Result)


class ResultFile:
    """The file of results: each is written at once, so an interrupted evaluation goes on later."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def require_own_folder(self) -> None:
        """Raise ConfigurationError unless the folder is new, empty, or of an earlier evaluation."""
        folder, known = self.path.parent, self.path.exists()
        pages = [file for file in (folder / PAGE,) if file.is_file() and is_page(file)]
        has_others = not known and folder.exists() and set(folder.iterdir()) != set(pages)
        if has_others or (known and self.path.stat().st_size and not self.read()):
            raise ConfigurationError(f"{folder} holds other files than an evaluation's: choose another --output.")

    def read(self) -> list[Result]:
        """Return the results so far, without lines that a crash cut off or that are no result."""
        if not self.path.exists():
            return []
        found: dict[tuple[str, str, str, str], Result] = {}
        for line in self.path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                result = _LINE.validate_json(line, strict=True)
            except ValueError:
                continue
            if result.verdict in VERDICTS:
                found[result.key] = result
        return list(found.values())

    def append(self, result: Result) -> None:
        """Write a result. Raises OSError."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            cut_off = self.path.exists() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size
            self._file = self.path.open("a", encoding="utf-8")
            if cut_off:
                self._file.write("\n")
        self._file.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


@data_class
class Summary:
    """The figures of one contender; `kinds` has its verdicts by kind of task.

    `prompt_characters` is a mean, all other figures are sums.
    """

    contender: str
    tasks: int
    verdicts: Counter[str]
    kinds: dict[str, Counter[str]]
    requests: int
    seconds: float
    tokens_in: int
    tokens_out: int
    prompt_characters: int

    @property
    def right(self) -> int:
        """The number of tasks that ended right, with or without a repair."""
        return self.verdicts[OBEYED] + self.verdicts[REPAIRED]

    @property
    def judged(self) -> int:
        """The number of tasks with an answer: failed requests say nothing about the model."""
        return self.tasks - self.verdicts[FAILED]

    def interval(self) -> tuple[float, float]:
        """Return the 95 % confidence interval of the share that ends right (Wilson's)."""
        if not self.judged:
            return 0.0, 1.0
        z, n, share = 1.96, self.judged, self.right / self.judged
        middle, spread = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def summarize(results: Iterable[Result]) -> list[Summary]:
    """Return the figures of each contender, the best first."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.contender, []).append(result)
    summaries = [_summary(contender, group) for contender, group in groups.items()]
    return sorted(summaries, key=lambda one: (-one.right / max(1, one.judged), -one.verdicts[OBEYED], one.contender))


def _summary(contender: str, group: Sequence[Result]) -> Summary:
    kinds: dict[str, Counter[str]] = {}
    for result in group:
        kinds.setdefault(result.kind, Counter())[result.verdict] += 1
    return Summary(
        contender=contender,
        tasks=len(group),
        verdicts=Counter(result.verdict for result in group),
        kinds=kinds,
        requests=sum(result.requests for result in group),
        seconds=sum(result.seconds for result in group),
        tokens_in=sum(result.tokens_in for result in group),
        tokens_out=sum(result.tokens_out for result in group),
        prompt_characters=mean_prompt(group),
    )


def mean_prompt(results: Iterable[Result]) -> int:
    """Return the mean characters of the first prompts that were measured, 0 if none was."""
    sizes = [result.prompt_characters for result in results if result.prompt_characters]
    return round(sum(sizes) / len(sizes)) if sizes else 0
