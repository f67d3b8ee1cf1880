"""`run`: start the stock proxy; create `.env` and start a simulator if they are needed."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ...proxy.own_browser import is_own_name
from ...proxy.playground_code import PlaygroundCode
from ...simulator import SimulatorSettings, SimulatorThread
from .folder import ensure_key, init, read_dotenv, template
from .greeting import greeting
from .preflight import Startable, require_startable
from .process import INTERRUPTED, Child

__all__ = ["LITELLM_DEFAULTS", "SIMULATED_AGENT", "init", "run", "simulator_environment", "template"]

LITELLM_DEFAULTS = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    # LiteLLM asks Redis in each request, and would wait five times 5 s for one that is silent.
    "REDIS_SOCKET_TIMEOUT": "1",
    "REDIS_CIRCUIT_BREAKER_TIMEOUT_MIN_DURATION": "1",
}
"""Variables of LiteLLM that `run` sets unless they are set; the image sets them, too."""

SIMULATED_AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def run(host: str, port: int, config: Path) -> int:
    """Start the proxy, wait until it exits and return its exit code. Raises ConfigurationError."""
    started = time.monotonic()
    try:
        return _run(host, port, config, started)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(host: str, port: int, config: Path, started: float) -> int:
    folder = Path.cwd()
    read_dotenv(folder)
    startable = require_startable(host, port, config)
    ensure_key(folder, startable.config)
    address = _connect_address(host)
    with contextlib.ExitStack() as stack:
        code = PlaygroundCode(stack.enter_context(_code_file(startable, address)))
        environ = LITELLM_DEFAULTS | os.environ | code.environ()
        if missing := startable.missing():
            simulator = stack.enter_context(SimulatorThread())
            environ |= simulator_environment(simulator.url)
            _print_progress(
                f"{', '.join(missing)} not set in .env: using a simulator on {simulator.url} instead of StackSpot."
            )
        _print_progress("Starting LiteLLM …")
        # This module runs the command `litellm`, whose path depends on the system.
        command = [sys.executable, "-m", "custom_handler.cli.stock_proxy", "--config", str(config)]
        child = stack.enter_context(Child([*command, "--host", host, "--port", str(port)], environ))
        if not child.wait_until_ready(address, port):
            _print_progress("The proxy exited before it was ready. Its last output:")
            child.show_held()
            return child.wait()
        _print_progress(
            f"Ready after {time.monotonic() - started:.1f} s.\n{greeting(startable, folder, address, port, code.issue())}"
        )
        child.show_all()
        return child.wait()


def simulator_environment(url: str) -> dict[str, str]:
    """Return settings for the simulator at `url`; prefixed names take precedence over `.env`."""
    defaults = SimulatorSettings()
    return {
        "STACKSPOT_IDM_URL": url,
        "STACKSPOT_INFERENCE_URL": url,
        "STACKSPOT_FILES_URL": url,
        "STACKSPOT_AGENTS_URL": url,
        "STACKSPOT_QUICK_COMMANDS_URL": url,
        "STACKSPOT_CLIENT_ID": defaults.client_id,
        "STACKSPOT_CLIENT_SECRET": defaults.client_secret,
        "STACKSPOT_REALM": defaults.realm,
        "STACKSPOT_GENAI_AGENT_ID": SIMULATED_AGENT,
    }


@contextlib.contextmanager
def _code_file(startable: Startable, address: str) -> Iterator[Path | None]:
    """Yield the path for the playground's code, None where no person could use one.

    A person reads the code from a terminal, not from a log, and opens it on this machine.
    """
    with contextlib.ExitStack() as stack:
        folder = None
        if startable.settings.services.enabled and sys.stdout.isatty() and is_own_name(address):
            with contextlib.suppress(OSError):  # the proxy works without
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="stackspot-litellm-"))
        yield None if folder is None else Path(folder) / "playground-code"


def _connect_address(host: str) -> str:
    """Return the address to connect to for a proxy that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared, not bound


def _print_progress(text: str) -> None:
    print(f"\n>>> {text}", flush=True)
