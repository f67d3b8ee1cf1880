"""The models of a wildcard: which agents of an account an entry of model_list allows.

model_list:
  - model_name: stackspot/*
    litellm_params: {model: stackspot/*}
    model_info:
      agents: [01ARZ3NDEKTSV4RRFFQ69G5FAV, Code review]   # ids or names; or: shared
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ..data_class import data_class
from ..errors import ConfigurationError
from ..provider.litellm_call import is_agent_id
from ..settings import DEFAULT_ACCOUNT
from ..stackspot.agent_list import VISIBILITIES, Agent
from .agent_names import agent_names
from .config import Deployment
from .wildcards import is_match, is_open


class Listing(NamedTuple):
    """One list of the platform: the agents of an account with one visibility."""

    account: str
    visibility: str


Found = Mapping[Listing, Sequence[Agent]]
"""The agents of each list that was read."""


@data_class
class AllowList:
    """What `model_info.agents` allows: the agents of one list, or those with an id or name.

    The lists are of the account that answers for the entry.
    """

    lists: tuple[Listing, ...]
    wanted: tuple[str, ...] = ()

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> AllowList:
        """Return that of an entry of `model_list`; raises ConfigurationError."""
        deployment = Deployment.of(entry)
        where, agents = f"model_info.agents of {deployment.name!r} in config.yaml", deployment.info.get("agents")
        if deployment.name.count("*") != 1 or deployment.model != "*":
            raise ConfigurationError(
                f"{deployment.name!r} of config.yaml must have one * in model_name, and the model stackspot/*."
            )
        if agents is None:
            raise ConfigurationError(
                f"{where} is missing, so it lists no agent: callers must not choose one by its name. "
                "Say which: a list of ids or names, or shared."
            )
        if deployment.info.get("agent_version") is not None:
            raise ConfigurationError(
                f"model_info.agent_version of {deployment.name!r} in config.yaml is for one agent, because each has "
                "versions of its own: remove it, and give that agent an entry."
            )
        chosen = deployment.info.get("account")
        account = DEFAULT_ACCOUNT if chosen is None else str(chosen)
        if isinstance(agents, str) and agents in VISIBILITIES:
            return cls((Listing(account, agents),))
        if isinstance(agents, list) and agents and all(isinstance(one, str) and one.strip() for one in agents):
            lists = tuple(Listing(account, visibility) for visibility in VISIBILITIES)
            return cls(lists, tuple(one.strip() for one in agents))
        raise ConfigurationError(f"{where} must be a list of ids or names, or one of {', '.join(VISIBILITIES)}.")

    def select(self, found: Found) -> list[Agent]:
        """Return the allowed agents; one allowed by its id needs no list of the account."""
        agents = {agent.id: agent for listing in self.lists for agent in found.get(listing, ())}
        if not self.wanted:
            return sorted(agents.values())
        wanted = {one.casefold() for one in self.wanted}
        # Users name their agents as they like: also by the id of another one.
        names = {one.casefold() for one in self.wanted if not is_agent_id(one)}
        chosen = {
            agent.id: agent
            for agent in agents.values()
            if agent.id.casefold() in wanted or names & {agent.name.casefold(), agent.slug.casefold()}
        }
        known = {agent_id.casefold() for agent_id in chosen}
        unknown = [Agent(one) for one in self.wanted if is_agent_id(one) and one.casefold() not in known]
        return sorted([*chosen.values(), *unknown])


@data_class
class _Model:
    """An agent under its name, and the entry that allows it: its number, and as it is written."""

    number: int
    written: Mapping[str, Any]
    agent: Agent
    name: str

    @property
    def pattern(self) -> str:
        return str(self.written["model_name"])


class AgentCatalog:
    """The entries that wildcards of `model_list` stand for, given the agents of the accounts.

    `complete` makes an entry of config.yaml ready for the router; `taken` are the names of other
    models, which may have wildcards.
    """

    def __init__(
        self,
        written: Sequence[Mapping[str, Any]],
        complete: Callable[[Mapping[str, Any]], dict[str, Any]] = dict,
        taken: Collection[str] = (),
    ) -> None:
        self._complete = complete
        self._names = {name.casefold() for name in taken}
        self._wildcards = [name for name in taken if "*" in name]
        self._allowed: list[tuple[Mapping[str, Any], AllowList]] = []
        for entry in filter(is_open, written):
            try:
                self._allowed.append((entry, AllowList.of(entry)))
            except ConfigurationError:  # noqa: PERF203  the startup check reports it; it lists no agent
                continue

    @property
    def lists(self) -> tuple[Listing, ...]:
        """Those that have to be read; none without a wildcard."""
        return tuple(dict.fromkeys(listing for _, allowed in self._allowed for listing in allowed.lists))

    def models(self, found: Found) -> dict[str, Agent]:
        """Map the name of each model to its agent."""
        return {model.name: model.agent for model in self._models(found)}

    def entries(self, found: Found) -> dict[str, dict[str, Any]]:
        """Map the id of each deployment to its entry for the router."""
        made = map(self._entry, self._models(found))
        return {entry["model_info"]["id"]: entry for entry in made}

    def aliases(self, found: Found) -> dict[str, str]:
        """Map the name with the id of each allowed agent to its readable name."""
        models = self._models(found)
        names = {model.name for model in models}
        named = {model.pattern.replace("*", model.agent.id): model for model in models}
        return {
            alias: model.name
            for alias, model in named.items()
            if alias not in names and not self._is_taken(model.pattern, alias)
        }

    def _models(self, found: Found) -> list[_Model]:
        chosen = [
            (number, entry, agent)
            for number, (entry, allowed) in enumerate(self._allowed)
            for agent in allowed.select(found)
        ]
        names = agent_names(((str(entry["model_name"]), agent) for _, entry, agent in chosen), self._is_taken)
        return [
            _Model(number, entry, agent, name)
            for number, entry, agent in chosen
            if (name := names.get((str(entry["model_name"]), agent.id))) is not None
        ]

    def _is_taken(self, pattern: str, name: str) -> bool:
        """Return whether another model has a name, or a wildcard that is longer than `pattern`."""
        return name.casefold() in self._names or any(
            len(wildcard) > len(pattern) and is_match(wildcard, name) for wildcard in self._wildcards
        )

    def _entry(self, model: _Model) -> dict[str, Any]:
        written = model.written
        info = {key: value for key, value in (written.get("model_info") or {}).items() if key not in {"agents", "id"}}
        source = (str(model.number), model.pattern, model.agent.id, model.name)
        identity = hashlib.sha256("\n".join(source).encode()).hexdigest()
        params = {
            **(written.get("litellm_params") or {}),
            "model": f"stackspot/{model.name.removeprefix('stackspot/')}",
        }
        entry = {**written, "model_name": model.name, "litellm_params": params}
        return self._complete({**entry, "model_info": {**info, "agent_id": model.agent.id, "id": identity}})
