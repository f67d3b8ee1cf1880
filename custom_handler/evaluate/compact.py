"""Compares models with and without `compact_tools`: what the prompts lose, and what obedience."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..data_class import data_class
from ..errors import ConfigurationError
from ..provider import PROVIDER
from ..provider.quick_command_options import PREFIX as QUICK_COMMAND
from ..proxy.config import Deployment
from .results import FAILED, OBEYED, REPAIRED, Result, mean_prompt

SUFFIX = " (compact tools)"
HEAD = ("Compact tools", "Tasks", "Right without", "Right with", "Prompt without", "Prompt with", "Saved")


def with_compact_models(config: Mapping[str, Any], models: Sequence[str]) -> dict[str, Any]:
    """Return a configuration in which each of the models exists twice.

    Under its own name it has `compact_tools: false`, under the name with SUFFIX `true`. Raises
    ConfigurationError for a model with an entry that is no agent.
    """
    entries: list[Mapping[str, Any]] = []
    for entry in config.get("model_list") or ():
        model = Deployment.of(entry)
        if model.name not in models:
            entries.append(entry)
            continue
        if model.provider != PROVIDER or model.model.startswith(QUICK_COMMAND):
            raise ConfigurationError(
                f"The model {model.name!r} is no agent, and compact_tools changes only the prompts of agents: "
                "leave it out, or leave out --compact-tools."
            )
        # Without `id`: two deployments with one would be one to the router.
        info = {name: value for name, value in model.info.items() if name != "id"}
        entries.append({**entry, "model_info": {**model.info, "compact_tools": False}})
        entries.append({**entry, "model_name": f"{model.name}{SUFFIX}", "model_info": {**info, "compact_tools": True}})
    return {**config, "model_list": entries}


@data_class
class Comparison:
    """A model without and with compact tools, on the tasks that were answered both ways.

    `right` and `characters` (the mean of the first prompts) have the figures without and with it.
    `lost` are the tasks that are right only without it, `gained` only with it.
    """

    contender: str
    tasks: int
    right: tuple[int, int]
    characters: tuple[int, int]
    lost: Sequence[str]
    gained: Sequence[str]

    def cells(self) -> tuple[str, ...]:
        """Return the row of HEAD."""
        without, compact = self.characters
        saved = 100 * (1 - compact / without) if without else 0.0
        prompts = (f"{characters:,}" for characters in self.characters)
        return (self.contender, str(self.tasks), *map(str, self.right), *prompts, f"{saved:.0f} %")

    def differences(self) -> list[tuple[str, str, str]]:
        """Return a row for each task that ended otherwise: the task, the contender, and how."""
        ends = (("lost", self.lost), ("gained", self.gained))
        return [(task, self.contender, how) for how, tasks in ends for task in tasks]


def comparisons(results: Iterable[Result]) -> list[Comparison]:
    """Return a comparison for each model that was asked with and without compact tools."""
    pairs: dict[tuple[str, str], dict[bool, dict[str, Result]]] = {}
    for result in results:
        if result.verdict != FAILED:
            name = result.model.removesuffix(SUFFIX), result.variant
            sides = pairs.setdefault(name, {False: {}, True: {}})
            sides[result.model.endswith(SUFFIX)][result.task] = result
    return [_compared(sides[False], sides[True]) for sides in pairs.values() if sides[False] and sides[True]]


def _compared(without: Mapping[str, Result], compact: Mapping[str, Result]) -> Comparison:
    both = [(result, compact[task]) for task, result in without.items() if task in compact]
    measured = [pair for pair in both if all(one.prompt_characters for one in pair)]
    right = [(_is_right(one), _is_right(other)) for one, other in both]
    return Comparison(
        contender=next(iter(without.values())).contender,
        tasks=len(both),
        right=(sum(one for one, _ in right), sum(other for _, other in right)),
        characters=(mean_prompt(one for one, _ in measured), mean_prompt(other for _, other in measured)),
        lost=sorted(one.task for (one, _), ends in zip(both, right, strict=True) if ends == (True, False)),
        gained=sorted(one.task for (one, _), ends in zip(both, right, strict=True) if ends == (False, True)),
    )


def _is_right(result: Result) -> bool:
    return result.verdict in {OBEYED, REPAIRED}
