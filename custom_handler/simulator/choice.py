"""The models and versions of the simulated agents, of which a request may choose one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .wire import RefusedError, error_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import SimulatorSettings


def check_choice(body: Mapping[str, Any], settings: SimulatorSettings) -> None:
    """Raise RefusedError for a model or a version that the agents do not have.

    How the platform refuses them is not known; these are a 400 and a 404.
    """
    model, version = body.get("selected_model"), body.get("agent_version_number")
    if model is not None and model not in settings.agent_models:
        details = f"Model {model} is not allowed for this agent."
        raise RefusedError(400, error_body("INFERENCE_4001_MODEL_NOT_ALLOWED", details))
    if version is not None and version not in settings.agent_versions:
        details = f"Version {version} of the agent not found."
        raise RefusedError(404, error_body("AGENT_VERSION_NOT_FOUND", details, "NOT_FOUND"))
