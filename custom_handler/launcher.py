"""`stackspot-litellm run` and `init`: the stock proxy with what a first start lacks, such as a master key and an agent."""

from __future__ import annotations

import collections
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
from dotenv import load_dotenv

from .env_file import ensure_value, new_master_key, with_value, write
from .preflight import require_startable
from .service.availability import disabled_models
from .service.config import deployments
from .settings import Settings
from .simulator import SimulatorSettings, SimulatorThread

START_SECONDS = 180
SHOWN_LINES = 40
REFUSED = "The proxy does not start, because"  # how the start-up check begins, after a traceback
SIMULATED_AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
KEY = "LITELLM_MASTER_KEY"

# A line of this package's log that an operator has to see although the proxy's own output is hidden until it is ready.
_IMPORTANT = re.compile(r"\S+ \S+ (?:WARNING|ERROR|CRITICAL) \[[^\]]*\] custom_handler\.")

# The key is read from .env, so that it appears neither on the screen nor in a log.
_READY = """
The proxy is ready on {url} ({seconds:.1f} s).

  API            {url}/v1
  Playground     {url}/playground
  Documentation  {url}/docs
  Models         {models}
{notes}
Try it in another terminal, in this folder:

curl -sN {url}/v1/chat/completions -H "Authorization: Bearer $(sed -n 's/^{key}=//p' .env)" \
-H 'Content-Type: application/json' -H 'correlation-id: hello-1' \
-d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Quem é você?"}}]}}'

Or in Python, with the openai and python-dotenv packages:

import dotenv, openai
key = dotenv.dotenv_values(".env")["{key}"]
client = openai.OpenAI(base_url="{url}/v1", api_key=key)
answer = client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Quem é você?"}}])
print(answer.choices[0].message.content)
"""


def run(host: str, port: int, config: Path) -> int:
    """Start the proxy and what it needs, and wait for its end; returns its exit code.

    Raises ConfigurationError for a fault that is found before LiteLLM is loaded.
    """
    began = time.monotonic()
    folder = Path.cwd()
    load_dotenv(folder / ".env")
    content, settings = require_startable(host, port, config)
    _ensure_key(folder)
    with contextlib.ExitStack() as stack:
        environ, notes = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", **os.environ}, list[str]()
        if missing := _missing(settings):
            simulator = stack.enter_context(SimulatorThread())
            environ |= simulated(simulator.url)
            notes.append(f"{', '.join(missing)} not set in .env: a simulator on {simulator.url} answers for StackSpot.")
        disabled = disabled_models(content["model_list"])
        if disabled:
            listed = ", ".join(f"{name} ({variable} is not set)" for name, variable in disabled.items())
            notes.append(f"Disabled: {listed}")
        print("Starting the proxy …", flush=True)
        proxy = stack.enter_context(
            _process([_litellm(), "--config", str(config), "--host", host, "--port", str(port)], environ)
        )
        output = _Output(proxy)
        if not _is_ready(proxy, port):
            return _failed(proxy, output)
        models = [entry.name for entry in deployments(content) if entry.name not in disabled]
        url = f"http://127.0.0.1:{port}"
        shown = "".join(f"\n  {note}\n" for note in notes)
        text = _READY.format(
            url=url,
            seconds=time.monotonic() - began,
            models=", ".join(models),
            notes=shown,
            key=KEY,
            model=models[0] if models else "",
        )
        output.show_from_now_on(text)
        return _outcome(proxy)


def init(folder: Path) -> list[tuple[Path, bool]]:
    """Write config.yaml and `.env` into a folder; returns each file and whether it was written, as existing files stay."""
    written = []
    for name, text in (("config.yaml", template("config.yaml")), (".env", _first_env())):
        target = folder / name
        new = not target.exists()
        if new:
            write(target, text)
        written.append((target, new))
    (folder / "config.yaml").chmod(0o644)
    return written


def template(name: str) -> str:
    """Return the text of config.yaml or .env.example: of the installed package, else of the repository."""
    packaged = Path(__file__).parent / "templates" / name
    return (packaged if packaged.exists() else Path(__file__).parents[1] / name).read_text(encoding="utf-8")


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


def _first_env() -> str:
    return with_value(template(".env.example"), KEY, new_master_key())


def _ensure_key(folder: Path) -> None:
    """Write `.env` where there is none, and a master key into one that has none; raises nothing for a folder without rights."""
    file = folder / ".env"
    if os.environ.get(KEY):
        return
    with contextlib.suppress(OSError, TimeoutError):  # then the proxy says what it lacks
        if not file.exists():
            write(file, _first_env())
            print(f"Wrote .env with a new {KEY}: the API key for clients of this proxy.", flush=True)
        elif ensure_value(file, KEY, new_master_key)[1]:
            print(f"Wrote a new {KEY} into .env: the API key for clients of this proxy.", flush=True)
        load_dotenv(file, override=True)


def _missing(settings: Settings) -> tuple[str, ...]:
    return (*settings.missing(), *(() if settings.agent_id else ("GENAI_AGENT_ID",)))


def _litellm() -> str:
    """Find the stock proxy's command beside this Python's."""
    return str(Path(sys.executable).parent / ("litellm.exe" if os.name == "nt" else "litellm"))


class _Output:
    """What the proxy prints: hidden until it is ready, but for warnings of this package; kept for the case that it fails."""

    def __init__(self, proxy: subprocess.Popen[str]) -> None:
        self.last: collections.deque[str] = collections.deque(maxlen=SHOWN_LINES)
        self._lines = proxy.stdout or ()
        self._shown = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, name="proxy-output", daemon=True)
        self._thread.start()

    def show_from_now_on(self, first: str) -> None:
        """Print a text, and behind it all that the proxy prints from now on."""
        with self._lock:
            self._shown = True
            print(first, flush=True)

    def finish(self) -> None:
        """Wait for the last line."""
        self._thread.join(timeout=5)

    def _read(self) -> None:
        for line in self._lines:
            with self._lock:
                self.last.append(line)
                if self._shown or _IMPORTANT.match(line):
                    print(line, end="", flush=True)


@contextlib.contextmanager
def _process(command: list[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a command, and end it with this program, however that ends."""
    process = subprocess.Popen(  # noqa: S603  our own command
        command,
        env={**environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    # SIGTERM ends this program through the same `finally` as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(timeout=15)
        process.kill()


def _is_ready(proxy: subprocess.Popen[str], port: int) -> bool:
    """Wait until the proxy answers; False where it ended before, or the user did."""
    deadline = time.monotonic() + START_SECONDS
    with contextlib.suppress(KeyboardInterrupt):
        while proxy.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/health/liveliness", trust_env=False).status_code == 200:
                    return True
            time.sleep(0.1)
    return False


def _failed(proxy: subprocess.Popen[str], output: _Output) -> int:
    """Return the exit code of a start that came to nothing; print the proxy's last lines if it ended by itself."""
    if proxy.poll() is None:  # Ctrl-C, or the time is up
        return 0
    if proxy.returncode < 0 or proxy.returncode in {0, 130}:  # ended by a signal, as Ctrl-C sends it to both
        return 0
    output.finish()
    printed = "".join(output.last)
    _, marker, faults = printed.rpartition(REFUSED)
    print(marker + faults if marker else f"The proxy did not start. Its last lines:\n\n{printed}", file=sys.stderr)
    return 2


def _outcome(proxy: subprocess.Popen[str]) -> int:
    try:
        return proxy.wait()
    except KeyboardInterrupt:
        return 0
