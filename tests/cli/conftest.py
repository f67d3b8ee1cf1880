"""A folder with a configuration, whose StackSpot is the simulator, and the command line in it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

CONFIG = """
model_list:
  - model_name: stackspot-chat
    litellm_params: {model: stackspot-chat, custom_llm_provider: stackspot}
  - model_name: chat/llama-small
    litellm_params: {model: groq/llama-3.1-8b-instant, api_key: os.environ/GROQ_API_KEY}
litellm_settings:
  custom_provider_map: [{provider: stackspot, custom_handler: custom_handler.stackspot_llm}]
  callbacks: [custom_handler.plugin, prometheus]
  drop_params: true
  suppress_debug_info: true
router_settings: {num_retries: 0}
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
"""
NAMES = ["CLIENT_ID", "CLIENT_SECRET", "REALM", "GENAI_AGENT_ID", "IDM_URL", "INFERENCE_URL", "AGENTS_URL"]


@pytest.fixture
def folder(simulator: Any, one_certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: config.yaml, and a `.env` that leads to the simulator."""
    values = {
        "STACKSPOT_IDM_URL": simulator.url,
        "STACKSPOT_INFERENCE_URL": simulator.url,
        "STACKSPOT_AGENTS_URL": simulator.url,
        "CLIENT_ID": "simulator",
        "CLIENT_SECRET": "simulator-secret",
        "REALM": "simulator",
        "GENAI_AGENT_ID": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "LITELLM_MASTER_KEY": "sk-canary-master",
    }
    for name in (*NAMES, *(f"STACKSPOT_{name}" for name in NAMES), "LITELLM_MASTER_KEY", "GROQ_API_KEY"):
        monkeypatch.setenv(name, "")  # so that it is put back as it was
        monkeypatch.delenv(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(one_certificate))
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder: Path) -> Iterator[Callable[..., Result]]:
    """Run the command line in the folder, and restore what it changes in this process."""
    import litellm

    import custom_handler
    from custom_handler.cli import main

    kept = {name: getattr(litellm, name) for name in ("custom_provider_map", "drop_params", "suppress_debug_info")}
    callbacks = [name for name in vars(litellm) if name.endswith("callback") or name == "callbacks"]
    logger = logging.getLogger("custom_handler")
    state = logger.level, list(logger.handlers), logger.propagate

    def run(*arguments: str, **options: Any) -> Result:
        for name in ("stackspot_llm", "plugin"):
            vars(custom_handler).pop(name, None)
        for name in callbacks:
            setattr(litellm, name, [])
        return CliRunner().invoke(main, arguments, **options)

    environ = dict(os.environ)
    yield run
    for name in os.environ.keys() - environ.keys():  # what `.env` added
        del os.environ[name]
    for name in ("stackspot_llm", "plugin"):
        vars(custom_handler).pop(name, None)
    for name in callbacks:
        setattr(litellm, name, [])
    for name, value in kept.items():
        setattr(litellm, name, value)
    level, logger.handlers, logger.propagate = state
    logger.setLevel(level)
