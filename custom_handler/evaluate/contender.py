"""What is compared: a model, asked with one wording of the prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, field
from itertools import product
from pathlib import Path

import yaml

from ..data_class import data_class
from ..emulation.prompt.wording import DEFAULT, Wording, wording_of
from ..errors import ConfigurationError
from .task import Task

BUILT_IN = "default"


@data_class
class Contender:
    """A model and a wording; `variant` is the wording's name, empty for the built-in one.

    `agent` says what answers behind the model's name: the id of an agent, another provider's model,
    or the simulated agent.
    """

    model: str
    variant: str = ""
    wording: Wording = field(default=DEFAULT, repr=False)
    agent: str = ""

    def key(self, task: Task) -> tuple[str, str, str, str]:
        """Return what identifies the result of a task: see `Result.key`."""
        return self.model, self.variant, task.id, self.digest(task)

    def digest(self, task: Task) -> str:
        """Return a hash of task, wording and agent: a result of another one does not count."""
        agent = hashlib.sha256(self.agent.encode()).hexdigest()[:12] if self.agent else ""
        return f"{task.digest}{self.wording.digest}{agent}"


def contenders(models: Mapping[str, str], variants: Sequence[str]) -> list[Contender]:
    """Return each model with each variant: `default`, or a YAML file with texts of the prompt.

    `models` maps the name of a model to what answers behind it. Raises ConfigurationError for a
    file that cannot be used.
    """
    wordings = dict(map(_variant, variants or [BUILT_IN]))
    if len(wordings) < len(set(variants)):
        raise ConfigurationError("Two --prompt-variant files have the same name: rename one of them.")
    return [
        Contender(model, name, texts, agent)
        for (model, agent), (name, texts) in product(models.items(), wordings.items())
    ]


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
