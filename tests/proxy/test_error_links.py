"""The address of its entry on the errors page, in the message of each documented error."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from custom_handler.proxy import error_links
from custom_handler.proxy.error_links import ErrorLinks, open_error_links
from custom_handler.proxy.middleware.error_bodies import protocol_error
from custom_handler.proxy.middleware.wrap import ProxyWrapper

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://docs.example/errors/"
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^|]+)` \| \d{3}", PAGE, re.MULTILINE)
UNKNOWN = "A text that no row has."
KNOWN = "The request is larger than 32 MiB: shorten it."
LINK = f"{ADDRESS}#the-proxy:~:text=The%20request%20is%20larger%20than%2032%20MiB"


@pytest.fixture
def links() -> ErrorLinks:
    found = open_error_links(ADDRESS)
    assert found is not None
    return found


@pytest.mark.parametrize("text", ROWS)
def test_each_entry_is_linked_by_its_section_and_its_text(links: ErrorLinks, text: str):
    address = links.address_of(f"litellm.APIError: {text}")
    assert address is not None
    base, section, shown = re.fullmatch(r"(.*)#([\w-]+):~:text=([^-]+)", address).groups()
    assert (base, unquote(shown)) == (ADDRESS, text)
    heading = PAGE[: PAGE.index(f"| `{text}` |")].rpartition("\n## ")[2].partition("\n")[0]
    assert section == heading.lower().replace(" ", "-")


def test_the_longest_text_is_the_entry():
    page = "## A\n| `no place` | 429 | a |\n## B b\n| `no place came free` | 429 | b |\n"
    links = ErrorLinks(f"{ADDRESS}#", page)
    assert links.address_of("no place came free in time") == f"{ADDRESS}#b-b:~:text=no%20place%20came%20free"
    assert links.address_of("no place") == f"{ADDRESS}#a:~:text=no%20place"


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1beta/models/a:generateContent"]
)
def test_the_error_of_each_protocol_has_the_link_in_its_message_once(links: ErrorLinks, path: str):
    body = protocol_error(413, KNOWN, path)
    linked = links.add(body)
    content, before = json.loads(linked), json.loads(body)
    assert content["error"].pop("message") == f"{before['error'].pop('message')}\nSee {LINK}"
    assert content == before, "the rest of the error is as it was"
    assert links.add(linked) == linked


@pytest.mark.parametrize(
    "content", [{"error": {"message": UNKNOWN}}, {"error": KNOWN}, {"detail": KNOWN}, [KNOWN], KNOWN]
)
def test_what_is_no_documented_error_stays_as_it_is(links: ErrorLinks, content: Any):
    body = json.dumps(content).encode()
    assert links.add(body) == body
    assert links.add(b"<html>") == b"<html>"


def test_links_are_off_without_an_address_and_without_the_page(monkeypatch: pytest.MonkeyPatch, caplog: Any):
    assert open_error_links("") is None
    monkeypatch.setattr(error_links, "_PAGES", (ROOT / "none.md",))
    with caplog.at_level(logging.WARNING, "custom_handler"):
        assert open_error_links(ADDRESS) is None
    assert "STACKSPOT_ERRORS_URL has no effect" in caplog.text


async def served(links: ErrorLinks | None, status: int, body: bytes) -> tuple[dict[str, str], bytes]:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    await ProxyWrapper(app, links=links)(scope, receive, send)
    start, *parts = sent
    return {name.decode(): value.decode() for name, value in start["headers"]}, b"".join(part["body"] for part in parts)


@pytest.mark.parametrize("status", [413, 200])
async def test_the_proxy_links_errors_and_leaves_answers(links: ErrorLinks, status: int):
    body = json.dumps({"error": {"message": KNOWN}}).encode()
    headers, linked = await served(links, status, body)
    assert (LINK in linked.decode()) is (status == 413)
    assert headers["content-length"] == str(len(linked))
    assert (await served(None, status, body))[1] == body
