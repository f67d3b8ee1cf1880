"""What is compared: a model, asked with one wording of the prompt."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path

import yaml

from ..emulation.prompt.wording import DEFAULT, Wording, wording_of
from ..errors import ConfigurationError
from .task import Task

BUILT_IN = "default"


@dataclass(frozen=True, slots=True)
class Contender:
    """A model and a wording; `variant` is the wording's name, empty for the built-in one."""

    model: str
    variant: str = ""
    wording: Wording = field(default=DEFAULT, repr=False)

    def key(self, task: Task) -> tuple[str, str, str, str]:
        """Return what identifies the result of a task: see `Result.key`."""
        return self.model, self.variant, task.id, self.digest(task)

    def digest(self, task: Task) -> str:
        """Return a hash of the task and the wording: a result of another version does not count."""
        return f"{task.digest}{self.wording.digest}"


def contenders(models: Iterable[str], variants: Sequence[str]) -> list[Contender]:
    """Return each model with each variant: `default`, or a YAML file with texts of the prompt.

    Raises ConfigurationError for a file that cannot be used.
    """
    wordings = dict(map(_variant, variants or [BUILT_IN]))
    if len(wordings) < len(set(variants)):
        raise ConfigurationError("Two --prompt-variant files have the same name: rename one of them.")
    return [Contender(model, name, texts) for model, (name, texts) in product(models, wordings.items())]


def still_open(contender: Contender, tasks: Iterable[Task], done: Container[tuple[str, str, str, str]]) -> list[Task]:
    """Return the tasks without a result."""
    return [task for task in tasks if contender.key(task) not in done]


def as_yaml(wording: Wording = DEFAULT) -> str:
    """Return the texts of a wording as a file to edit."""
    return str(yaml.safe_dump(asdict(wording), allow_unicode=True, sort_keys=False, width=1000, default_style="|"))


def _variant(given: str) -> tuple[str, Wording]:
    if given == BUILT_IN:
        return "", DEFAULT
    file = Path(given)
    try:
        texts = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"--prompt-variant {file} cannot be read ({type(error).__name__}): name a YAML file, or {BUILT_IN}."
        ) from None
    return file.stem, wording_of(texts, str(file))
