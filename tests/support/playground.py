"""The playground in a browser: the proxy that serves it, and what a person does on the page."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from custom_handler.proxy.playground_code import PlaygroundCode
from tests.support.processes import ROOT
from tests.support.proxy import Proxy, Simulator, running_proxy

HANDBOOK = "01KS0000000000000000000001"
CONFIG = f"""
model_list:
  - model_name: stackspot-chat
    litellm_params:
      model: stackspot-chat
      custom_llm_provider: stackspot
      input_cost_per_token: 0.001
      output_cost_per_token: 0.002
  - model_name: wiki
    litellm_params: {{model: stackspot-chat, custom_llm_provider: stackspot}}
    model_info: {{knowledge_sources: [{HANDBOOK}], sources_url: "https://wiki.example/{{slug}}"}}
  - model_name: blind
    litellm_params: {{model: stackspot-chat, custom_llm_provider: stackspot}}
    model_info: {{supports_vision: false}}
  - model_name: no-key
    litellm_params: {{model: groq/llama-3.1-8b-instant, api_key: os.environ/GROQ_API_KEY}}
  - model_name: embeddings
    litellm_params: {{model: openai/text-embedding-3-small, api_key: unused}}
  - model_name: pictures
    litellm_params: {{model: openai/our-images, api_key: unused}}
    model_info: {{mode: image_generation}}
litellm_settings:
  custom_provider_map: [{{provider: stackspot, custom_handler: custom_handler.stackspot_llm}}]
  callbacks: [custom_handler.plugin]
  drop_params: true
router_settings: {{disable_cooldowns: true, num_retries: 0}}
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  custom_auth: custom_handler.authenticate_key
"""
PICTURES = ROOT / "docs" / "images"
MODELS = ["stackspot-chat", "wiki", "blind"]
TOOLS = [{"type": "function", "function": {"name": "buscar_tempo", "parameters": {"type": "object"}}}]
CALL = 'Vou consultar.\nFUNCTION_CALL_START\nbuscar_tempo\narguments: {"cidade": "Recife"}\nFUNCTION_CALL_END'

HOSTILE = (
    "<img src=x onerror=alert(1)><b>bold</b><script>alert(2)</script>\n\n"
    "[a](javascript:alert(3)) ![picture](https://elsewhere.example/p.png) <a href='https://x.example' onclick=alert(4)>b</a>\n\n"
    "<svg onload=alert(5)> <iframe src=//x.example></iframe> <form action=/v1><button>go</button></form> `<Foo/>`"
)
MARKDOWN = """# Título

Um *parágrafo* com `código`, [um link][1] e uma lista:

- um
- dois

  ainda dois

1. [ ] tarefa

| a | b |
|---|--:|
| 1 | 2 |

```python
def soma(a: int, b: int) -> int:
    return a + b  # <b>
```

[1]: https://example.com/
"""
ANSWER = """Replicas take writes **without waiting** for each other. When writes stop, all replicas converge.

```python
def merge(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    # Keep the later version of each key.
    return {key: max(a.get(key, 0), b.get(key, 0)) for key in a.keys() | b.keys()}
```"""
RESPOSTA = """O estorno leva **três dias úteis**:

1. O lojista pede o estorno.
2. A operadora confirma em até `48 h`.
3. O valor volta à fatura."""


@contextlib.contextmanager
def running_playground(folder: Path, simulator: Simulator) -> Iterator[Proxy]:
    """Run a proxy with models that answer chats, and others."""
    config = folder / "config.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    environ = {"STACKSPOT_UPLOADS": "true", "STACKSPOT_REQUESTS_PER_MINUTE": "5000"}
    environ |= code_of(folder).environ()
    with running_proxy(folder / "log", config=str(config), **(environ | simulator.environ)) as running:
        yield running


def code_of(folder: Path) -> PlaygroundCode:
    """Return the one-time code of the proxy with this folder: a test issues it, as `run` does on a terminal."""
    return PlaygroundCode(folder / "playground-code")


def sign_in(page: Page, key: str) -> None:
    """Give the key, and wait for the models."""
    page.locator("#key").fill(key)
    page.locator("#key").press("Enter")
    expect(page.locator("#model option")).to_have_text(MODELS)


def ask_page(page: Page, question: str, model: str = "stackspot-chat") -> Locator:
    """Ask, and return the last card, the answer's."""
    if page.locator("#model").input_value() != model:
        page.locator("#model").select_option(model)
    page.locator("#question").fill(question)
    page.locator("#question").press("Enter")
    return page.locator("article").last


def answered(page: Page, question: str, model: str = "stackspot-chat") -> Locator:
    """Ask, and return the answer's card when the answer is complete."""
    card = ask_page(page, question, model)
    expect(page.locator("#status")).to_have_text("The answer is complete.")
    return card


def set_options(page: Page, **options: Any) -> None:
    """Fill fields of the options by their ids."""
    page.locator("#open-options").click()
    for name, value in options.items():
        field = page.locator(f"#{name}")
        if isinstance(value, bool):
            field.set_checked(value)
        else:
            field.fill(value if isinstance(value, str) else json.dumps(value))
    page.locator("#options .close").click()


def kept(page: Page) -> dict[str, Any]:
    """Return the current conversation, as the tab keeps it."""
    state = json.loads(page.evaluate("sessionStorage.getItem('conversations')"))
    [current] = [conversation for conversation in state["list"] if conversation["id"] == state["current"]]
    return current


def picture(page: Page, name: str) -> None:
    """Take a picture of the page, and keep it if docs/images lacks it."""
    page.locator("#question").blur()
    drawn, file = page.screenshot(), PICTURES / f"{name}.png"
    assert len(drawn) > 10_000
    if not file.exists():
        file.write_bytes(drawn)
