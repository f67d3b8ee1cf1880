"""The text that `run` prints when the proxy is ready."""

from __future__ import annotations

import os
from pathlib import Path

from ...provider import PROVIDER
from ...proxy.availability import disabled_models
from ...proxy.playground_code import LIFETIME
from .folder import MASTER_KEY, key_is_in_dotenv
from .preflight import Startable

# The shell or Python reads the key from .env, so that no screen and no log shows it.
_CURL = """\
curl -sN {api}/chat/completions -H "Authorization: Bearer {key}" \
-H 'Content-Type: application/json' -H 'correlation-id: hello-1' \
-d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Quem é você?"}}]}}'"""

_PYTHON = """\
{source}
from openai import OpenAI
client = OpenAI(base_url="{api}", api_key={key})
answer = client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Quem é você?"}}])
print(answer.choices[0].message.content)"""


def greeting(startable: Startable, folder: Path, host: str, port: int, code: str = "") -> str:
    """Return the URLs, the models, and two ways to ask a model.

    The address of the playground has the one-time `code`, if there is one, in its fragment, which
    no browser sends to a server.
    """
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    in_dotenv, simulated = key_is_in_dotenv(folder), bool(startable.missing())
    disabled = disabled_models(startable.config.get("model_list") or ())
    enabled = {model.name: model for model in startable.models if model.name not in disabled}
    simulated_models = {name for name, model in enabled.items() if simulated and model.provider == PROVIDER}
    answering = ", ".join(f"{name} (a simulator answers)" if name in simulated_models else name for name in enabled)
    rows = [
        ("API", f"{base}/v1, key: {MASTER_KEY} {'in .env' if in_dotenv else 'of the environment'}"),
        *(_playground(f"{base}/playground", code) if startable.settings.services.enabled else []),
        ("Documentation", f"{base}/"),
        ("Models", answering or "none"),
        *([("Disabled", ", ".join(f"{name} ({lacks})" for name, lacks in disabled.items()))] if disabled else []),
    ]
    lines = "\n".join(f"    {label:<15}{value}" for label, value in rows)
    return f"\n{lines}\n{_try(f'{base}/v1', next(iter(enabled)), in_dotenv) if enabled else ''}"


def _playground(address: str, code: str) -> list[tuple[str, str]]:
    if not code:
        return [("Playground", address)]
    note = f"(opens without the key: once, within {LIFETIME / 60:.0f} minutes, on this machine)"
    return [("Playground", f"{address}#code={code}"), ("", note)]


def _try(api: str, model: str, in_dotenv: bool) -> str:
    python = _PYTHON.format(
        api=api,
        model=model,
        source="from dotenv import dotenv_values" if in_dotenv else "import os",
        key=f'{"dotenv_values(" + chr(34) + ".env" + chr(34) + ")" if in_dotenv else "os.environ"}["{MASTER_KEY}"]',
    )
    key = f"$(sed -n 's/^{MASTER_KEY}=//p' .env)" if in_dotenv else f"${MASTER_KEY}"
    curl = "" if os.name == "nt" else f"{_CURL.format(api=api, model=model, key=key)}\n\n"
    return (
        f"\nTry it in another terminal, in this folder:\n\n{curl}or, in the Python of this environment:\n\n{python}\n"
    )
