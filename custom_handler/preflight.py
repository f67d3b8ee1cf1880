"""Finds faults that stop a start, within a second and without loading LiteLLM; each is one line that says what to do."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from .errors import ConfigurationError
from .service.config import deployments, read_config
from .service.key_entries import read_entries
from .settings import Settings


def require_startable(host: str, port: int, config: Path) -> tuple[dict[str, Any], Settings]:
    """Return the configuration and the settings of a proxy that can start; raises ConfigurationError for the first fault."""
    if not config.exists():
        raise ConfigurationError(f"There is no {config}: `stackspot-litellm init` writes one, or name it by --config.")
    content = read_config(config)
    if not deployments(content):
        raise ConfigurationError(f"{config} has no models: give it a model_list, as README.md shows.")
    settings = Settings.load()
    if settings.keys_file:
        read_entries(Path(settings.keys_file))
    _require_free(host, port)
    return content, settings


def _require_free(host: str, port: int) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does, for a port just left
            probe.bind(address)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"Port {port} of {host} cannot be used ({getattr(error, 'strerror', error)}): "
            f"stop what uses it, or choose another one, such as PORT={min(port, 65000) + 1} make run or --port {min(port, 65000) + 1}."
        ) from None
