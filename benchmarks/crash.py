"""`make crash`: test whether the proxy survives a load of streams, with and without the plugin.

LiteLLM's streams set context variables in their finalizer. Up to Python 3.11 the garbage collector
may call it while the interpreter sets another context variable, which then crashes (CPython issue
148891). The plugin removes the finalizer.

A short script reproduces the fault. Then the stock proxy and the proxy with the plugin serve the
same load through LiteLLM's `openai/` provider, for CRASH_MINUTES (2) each. Prints how each ended;
the exit code is 1 if the proxy with the plugin died.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import aiohttp
import psutil

from . import servers
from .soak import Load

MINUTES = float(os.environ.get("CRASH_MINUTES", "2"))
CALLERS = 100

SCRIPT = """
import contextvars, gc, sys
guarded = sys.argv[1:] == ["guarded"]
inner = contextvars.ContextVar("inner")
outer = [contextvars.ContextVar(str(number)) for number in range(200)]
for variable in outer:
    variable.set(0)
class Stream:
    def __init__(self):
        self.itself = self
    def __del__(self):
        if not guarded:
            inner.set(object())
gc.set_threshold(1, 1, 1)
for number in range(100_000):
    Stream()
    outer[number % 200].set([number])
"""


def run_script(*, guarded: bool) -> int:
    """Run the script and return its exit code; a `guarded` finalizer sets no variable."""
    command = [sys.executable, "-c", SCRIPT, *(["guarded"] if guarded else [])]
    return subprocess.run(command, check=False, capture_output=True).returncode


async def run_proxy(folder: Path, upstream: servers.Simulator, *, plugin: bool) -> str:
    """Load a proxy with streams of its `openai/` model, and return how it ended."""
    with servers.proxy(folder, upstream, plugin=plugin) as proxy:
        load = Load(proxy, upstream, servers.OPENAI)
        running = asyncio.create_task(load.run(seconds=MINUTES * 60, callers=CALLERS))
        while not running.done() and _is_alive(proxy):
            await asyncio.wait([running], timeout=0.2)
        if _is_alive(proxy):
            return f"served {load.tally.calls} calls in {MINUTES:g} minutes"
        running.cancel()
        code = proxy.process.wait(5)
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return f"died ({name}) after {load.tally.calls} calls"


def _is_alive(proxy: servers.Proxy) -> bool:
    return proxy.process.is_running() and proxy.process.status() != psutil.STATUS_ZOMBIE


async def main() -> int:
    """Run the script and the proxies, and print how each ended."""
    print(f"Python {sys.version.split()[0]}")
    for guarded in (False, True):
        code = run_script(guarded=guarded)
        ended = "survived" if code == 0 else f"died ({signal.Signals(-code).name})"
        print(f"  script, finalizer {'removed' if guarded else 'as in LiteLLM'}: {ended}", flush=True)
    died = False
    with tempfile.TemporaryDirectory() as folder, servers.simulator(Path(folder)) as upstream:
        async with aiohttp.ClientSession() as session:
            settings = {"first_token_delay": 0.05, "cadence": 0.005, "burst": 5}
            await session.post(f"{upstream.url}/control/settings", json=settings)
        for plugin in (False, True):
            ended = await run_proxy(Path(folder), upstream, plugin=plugin)
            died = plugin and ended.startswith("died")
            print(f"  proxy {'with' if plugin else 'without'} the plugin: {ended}", flush=True)
    return 1 if died else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
