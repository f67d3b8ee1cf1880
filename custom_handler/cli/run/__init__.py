"""`run`: the stock proxy with what a first start lacks, a `.env` with a master key and a StackSpot to talk to."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from ...simulator import SimulatorSettings, SimulatorThread
from .folder import ensure_key, init, read_dotenv, template
from .greeting import greeting
from .preflight import require_startable
from .process import INTERRUPTED, Child

__all__ = ["SIMULATED_AGENT", "init", "run", "simulated", "template"]

SIMULATED_AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def run(host: str, port: int, config: Path) -> int:
    """Start the proxy and what it needs, and wait for its end; returns its exit code. Raises ConfigurationError."""
    began = time.monotonic()
    try:
        return _run(host, port, config, began)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(host: str, port: int, config: Path, began: float) -> int:
    folder = Path.cwd()
    read_dotenv(folder)
    start = require_startable(host, port, config)
    ensure_key(folder, start.config)
    with contextlib.ExitStack() as stack:
        environ = dict(os.environ) | {
            "LITELLM_LOCAL_MODEL_COST_MAP": os.environ.get("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        }
        if missing := start.missing():
            simulator = stack.enter_context(SimulatorThread())
            environ |= simulated(simulator.url)
            _say(f"{', '.join(missing)} not set in .env: a simulator on {simulator.url} answers in StackSpot's place.")
        _say("Starting LiteLLM …")
        # The module is the command `litellm`, under a name that is the same on every system.
        command = [sys.executable, "-m", "custom_handler.cli.stock_proxy", "--config", str(config)]
        child = stack.enter_context(Child([*command, "--host", host, "--port", str(port)], environ))
        address = _reachable(host)
        if not child.wait_until_ready(address, port):
            _say("The proxy ended before it was ready. The last that it printed:")
            child.show_held()
            return child.wait()
        _say(f"Ready after {time.monotonic() - began:.1f} s.\n{greeting(start, folder, address, port)}")
        child.show_all()
        return child.wait()


def simulated(url: str) -> dict[str, str]:
    """Return the settings that point the provider at a simulator; the prefixed names win over those of `.env`."""
    defaults = SimulatorSettings()
    return {
        "STACKSPOT_IDM_URL": url,
        "STACKSPOT_INFERENCE_URL": url,
        "STACKSPOT_FILES_URL": url,
        "STACKSPOT_CLIENT_ID": defaults.client_id,
        "STACKSPOT_CLIENT_SECRET": defaults.client_secret,
        "STACKSPOT_REALM": defaults.realm,
        "STACKSPOT_GENAI_AGENT_ID": SIMULATED_AGENT,
    }


def _reachable(host: str) -> str:
    """Return the address at which this machine reaches a proxy that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared, not bound


def _say(text: str) -> None:
    print(f"\n>>> {text}", flush=True)
