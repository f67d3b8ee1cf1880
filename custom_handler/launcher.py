"""`make run`: the stock proxy with what a first start lacks, a `.env` with a master key and a Stackspot to talk to."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
from dotenv import load_dotenv

from .settings import Settings
from .simulator import SimulatorSettings, SimulatorThread

START_SECONDS = 180
SIMULATED_AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

# The key is taken from .env by the shell, so that it stands neither on the screen nor in a log.
_CURL = """\
curl -sN http://127.0.0.1:{port}/v1/chat/completions -H "Authorization: Bearer $(sed -n 's/^LITELLM_MASTER_KEY=//p' .env)" \
-H 'Content-Type: application/json' -H 'correlation-id: hello-1' \
-d '{{"model": "stackspot-chat", "messages": [{{"role": "user", "content": "Quem é você?"}}]}}'"""


def run(host: str, port: int, config: Path) -> int:
    """Start the proxy and what it needs, and wait for its end; returns its exit code."""
    ensure_dotenv(Path.cwd())
    load_dotenv(Path.cwd() / ".env")
    with contextlib.ExitStack() as stack:
        environ = dict(os.environ)
        if missing := _missing(Settings.load()):
            simulator = stack.enter_context(SimulatorThread())
            environ |= simulated(simulator.url)
            _say(f"{', '.join(missing)} not set in .env: a simulator on {simulator.url} stands in for Stackspot.")
        command = [_litellm(), "--config", str(config), "--host", host, "--port", str(port)]
        proxy = stack.enter_context(_process(command, environ))
        if _ready(proxy, port):
            _say(
                f"The proxy is ready on http://127.0.0.1:{port}. Try it in another terminal, in this folder:\n\n{_CURL.format(port=port)}\n"
            )
        return _outcome(proxy)


def ensure_dotenv(directory: Path) -> None:
    """Write `.env` from `.env.example` with a strong master key of its own, unless there is one."""
    target = directory / ".env"
    if target.exists():
        return
    key = f"sk-{secrets.token_urlsafe(32)}"
    text = (directory / ".env.example").read_text(encoding="utf-8")
    text = re.sub(r"^LITELLM_MASTER_KEY=.*$", f"LITELLM_MASTER_KEY={key}", text, flags=re.MULTILINE)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    _say("Wrote .env with a new LITELLM_MASTER_KEY: the API key for clients of this proxy.")


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


def _missing(settings: Settings) -> tuple[str, ...]:
    return (*settings.missing(), *(() if settings.agent_id else ("GENAI_AGENT_ID",)))


def _litellm() -> str:
    """Find the stock proxy's command beside this Python's."""
    return str(Path(sys.executable).parent / "litellm")


@contextlib.contextmanager
def _process(command: list[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command, and end it with this program, however that ends."""
    process = subprocess.Popen(command, env=environ)  # noqa: S603  our own command
    # SIGTERM ends this program through the same `finally` as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)
        process.kill()


def _ready(proxy: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the proxy answers; False where it ended before, or the user did."""
    deadline = time.monotonic() + START_SECONDS
    with contextlib.suppress(KeyboardInterrupt):
        while proxy.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/health/liveliness", trust_env=False).status_code == 200:
                    return True
            time.sleep(0.2)
    return False


def _outcome(proxy: subprocess.Popen[bytes]) -> int:
    try:
        return proxy.wait()
    except KeyboardInterrupt:
        return 0


def _say(text: str) -> None:
    print(f"\n>>> {text}", flush=True)
