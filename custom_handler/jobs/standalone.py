"""Run a job worker without an HTTP port: start the proxy of config.yaml, but do not listen.

Items pass through the same keys, budgets, limits and logs as in a proxy that serves clients.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from ..env_file import load


async def run_worker(config: Path, at_once: int) -> int:
    """Run up to `at_once` jobs at a time until SIGTERM or SIGINT; return the exit code."""
    load(Path.cwd() / ".env")  # before LiteLLM reads config.yaml, which refers to its variables
    os.environ |= {f"STACKSPOT_{name}": "true" for name in ("SERVICES", "JOBS", "JOBS_WORK_HERE")}
    os.environ |= {"STACKSPOT_JOBS_WORKERS": str(at_once), "CONFIG_FILE_PATH": str(config)}
    sys.path.append(str(Path.cwd()))  # as the litellm command does, for modules named in config.yaml
    from litellm.proxy.proxy_server import app  # noqa: PLC0415  it reads the environment
    from uvicorn import Config  # noqa: PLC0415
    from uvicorn.lifespan.on import LifespanOn  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lifespan = LifespanOn(Config(app, lifespan="on"))
    await lifespan.startup()
    if lifespan.should_exit:
        return 1
    await stop.wait()
    await lifespan.shutdown()
    return 0
