"""Names of models with a prefix, as some clients send them: `openai/stackspot-chat`.

They are aliases in LiteLLM's router: a key may use one if it may use the model itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..provider import PROVIDER
from .config import Deployment
from .wildcards import is_match

PREFIXES = ("openai/", "anthropic/")


def prefixed_names(entries: Iterable[Mapping[str, Any]], aliases: object = None) -> dict[str, str]:
    """Map each prefixed name of a StackSpot model, or of an alias of one, to the model.

    `entries` are those of the router's `model_list`. A prefixed name stays with an entry of that
    name, and with a wildcard that does not match the name without the prefix, such as `openai/*`.

    >>> entry = {"model_name": "chat", "litellm_params": {"model": "stackspot/chat"}}
    >>> prefixed_names([entry], {"gpt-4o": "chat"})["openai/gpt-4o"]
    'chat'
    """
    models = [Deployment.of(entry) for entry in entries]
    ours = {model.name for model in models if model.provider == PROVIDER and "*" not in model.name}
    given = aliases if isinstance(aliases, Mapping) else {}
    targets = {str(alias): _target(item) for alias, item in given.items()}
    targets = {name: name for name in ours} | {alias: name for alias, name in targets.items() if name in ours}
    taken = {*(model.name for model in models), *map(str, given)}
    wildcards = [name for name in taken if "*" in name]
    return {
        prefix + name: target
        for name, target in targets.items()
        for prefix in PREFIXES
        if prefix + name not in taken
        and not any(is_match(one, prefix + name) and not is_match(one, name) for one in wildcards)
    }


def add_prefixed_names(router: Any) -> None:
    """Make the prefixed names of the router's models hidden aliases of them."""
    if router is not None:
        names = prefixed_names(router.model_list, router.model_group_alias)
        router.model_group_alias |= {name: {"model": model, "hidden": True} for name, model in names.items()}


def _target(item: object) -> str:
    """Return the model of an entry of `model_group_alias`: a name, or an object with one."""
    return str(item.get("model") if isinstance(item, Mapping) else item)
