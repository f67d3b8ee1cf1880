"""Images and files of a request, uploaded to the simulator, and named in the question: however one asks."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import litellm
import pytest

from custom_handler import StackspotLLM

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9
PDF = b"%PDF-1.7\n\xff\xfe segredo"
BROKEN = "FUNCTION_CALL_START\nget_weather\narguments: {city}\nFUNCTION_CALL_END"


def uri(data: bytes = PNG, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def image(data: bytes = PNG, kind: str = "image/png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": uri(data, kind)}}


def pdf(data: bytes = PDF, name: str = "relatório.pdf") -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": uri(data, "application/pdf"), "filename": name}}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


QUESTION = [user(text("O que é isto?"), image(), pdf())]


@pytest.fixture
def generous(settings: Any, simulator: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings of an account that may upload, with retries that do not wait."""
    monkeypatch.setattr("custom_handler.stackspot.exchange.BACKOFF", 0.01)
    simulator.lose_uploads()
    return replace(settings, uploads=True, max_retries=2)


@pytest.fixture
def uploader(generous: Any) -> StackspotLLM:
    return StackspotLLM(generous)


def stored(simulator: Any) -> list[tuple[str, str, str]]:
    return [(file["name"], file["content_type"], file["sha256"]) for file in simulator.uploads()]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def count(simulator: Any, at: str) -> int:
    return len(simulator.requests(at))


def test_an_image_and_a_file_arrive_byte_for_byte_and_the_question_names_them(
    ask: Callable[..., Any], uploader: StackspotLLM, simulator: Any
):
    simulator.script({"text": "Um gato."})
    assert ask(uploader, QUESTION).content == "Um gato."
    assert stored(simulator) == [
        ("image-1.png", "image/png", sha(PNG)),
        ("relatório.pdf", "application/pdf", sha(PDF)),
    ]
    (chat,) = simulator.requests("chat")
    assert chat["body"]["upload_ids"] == [file["id"] for file in simulator.uploads()]
    assert chat["prompt"] == "O que é isto?\n[image image-1.png: attached]\n[file relatório.pdf: attached]"


def test_the_permission_is_asked_with_the_token_and_the_storage_without(uploader: StackspotLLM, simulator: Any):
    uploader.completion("stackspot-chat", [user(image())])
    (permission,), (storage,) = simulator.requests("upload"), simulator.requests("storage")
    assert permission["headers"]["authorization"].startswith("Bearer ")
    assert permission["body"] == {"file_name": "image-1.png", "target_type": "CONTEXT", "expiration": 600}
    assert "authorization" not in storage["headers"]
    assert simulator.state()["chat_requests"] == 1
