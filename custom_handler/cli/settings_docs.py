"""Generate docs/configuration.md: `make docs`."""

from __future__ import annotations

from dataclasses import Field
from typing import Any

from ..setting_fields import group_fields
from ..settings import setting_groups

PAGE = """\
# Configuration

<!-- Written by `make docs` from custom_handler/settings.py; a test fails where this page says something else. -->

Settings come from the environment, or from `.env` in the folder where the proxy starts, or from `.env` beside `config.yaml`. The first
one wins. Each name also works with the prefix `STACKSPOT_`, which has priority. Blanks around a value are removed, and an empty value
counts as not set. Invalid values abort the start with an error that names the setting. To see what is set, run
[`check`](cli.md#check).

{groups}

## Variables that others read

| variable | default | meaning |
|---|---|---|
| `LITELLM_MASTER_KEY` | | LiteLLM: the API key of operators; written to `.env` at the first start if it is empty |
| `LITELLM_SALT_KEY` | the master key | LiteLLM: encrypts the keys of waiting jobs; set it before you change the master key |
| `REDIS_SOCKET_TIMEOUT` | `5.0` | LiteLLM: seconds that it waits for Redis in a request; `run` and the image set `1` |
| `REDIS_CIRCUIT_BREAKER_TIMEOUT_MIN_DURATION` | `5.0` | LiteLLM: it stops asking a Redis that is silent for so long; there, too, `1` |
| `LITELLM_LOCAL_MODEL_COST_MAP` | `False` | LiteLLM: `True` uses the price list of the package instead of the network's |
| `KEEPALIVE_TIMEOUT` | `5` | LiteLLM: seconds for which an idle connection stays open; use [75](operations.md#running-it) |
| `DATABASE_URL` | | LiteLLM: a Postgres, for virtual keys, and their budgets |
| `POSTGRES_PASSWORD`, `GRAFANA_PASSWORD` | | compose.yaml: the passwords of its Postgres and its Grafana |
| `NUM_WORKERS` | `1` | LiteLLM: number of processes |
| `HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE` | | a [corporate proxy](operations.md#corporate-proxies-and-certificates), its CAs |
| `OTEL_EXPORTER`, `OTEL_ENDPOINT` | | LiteLLM: where traces go, with `otel` in the `callbacks` of config.yaml |
| `GROQ_API_KEY`, `FIREWORKS_AI_API_KEY` | | keys of the aliases `chat/llama-small` and `chat/qwen-small` |
| `BEDROCK_MODEL_ID`, `AWS_REGION` | | the alias `chat/nova-micro`; credentials from where the AWS SDK finds them |
| `AWS_PROFILE` | | the profile of `~/.aws` with these credentials; `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` instead |
| `AWS_ACCOUNT_ID` | | accepted and ignored: the credentials name the account |
| `AWS_EC2_METADATA_DISABLED` | | `false` also asks the metadata service of an EC2 machine for credentials at the start |
| `JSON_LOGS` | `false` | LiteLLM: `true` writes each log line as a JSON object |
| `PORT` | `4000` | the port of `make run` and `stackspot-litellm run`, and of the proxy that `models` and `chat` look for |
| `PROXY_URL` | `http://127.0.0.1:4000` | the proxy that the files in `examples/` use |
"""


def settings_page() -> str:
    """Return the page: a section for each group, a row for each setting."""
    return PAGE.format(groups="\n\n".join(_table(*group) for group in setting_groups().items()))


def _table(name: str, group: type) -> str:
    head = f"## {name.capitalize()}\n\n| setting | default | meaning |\n|---|---|---|"
    return "\n".join([head, *map(_row, group_fields(group))])


def _row(setting: Field[Any]) -> str:
    return f"| `{setting.metadata['name']}` | {_default(setting.default)} | {setting.metadata['meaning']} |"


def _default(value: object) -> str:
    """Format a default as in the environment."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:.15g}`"
    return f"`{value}`" if value != "" else ""
