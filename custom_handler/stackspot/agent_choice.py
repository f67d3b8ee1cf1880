"""Which of an agent's models and versions answers."""

from __future__ import annotations

from typing import Any

from ..data_class import data_class


@data_class
class AgentChoice:
    """The options of one model, from its `model_info`; without any, the agent's own defaults apply.

    `selected_model` is one of the models that the agent allows; `version` is a number of the agent.
    """

    selected_model: str | None = None
    version: int | None = None

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of the options that are set."""
        chosen = {"selected_model": self.selected_model, "agent_version": self.version}
        return tuple(name for name, value in chosen.items() if value is not None)

    def fields(self) -> dict[str, Any]:
        """Return the fields of a request, only those that are set (platform contract, section 1).

        >>> AgentChoice("gpt-5").fields(), AgentChoice(version=3).fields(), AgentChoice().fields()
        ({'selected_model': 'gpt-5'}, {'agent_version_number': 3}, {})
        """
        fields = {"selected_model": self.selected_model, "agent_version_number": self.version}
        return {name: value for name, value in fields.items() if value is not None}

    def key(self, agent_id: str) -> str:
        """Return what identifies this choice of an agent: its id alone without one."""
        return " ".join([agent_id, *map(repr, self.fields().items())])


NO_CHOICE = AgentChoice()
