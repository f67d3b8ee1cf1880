"""Images and files through the real proxy, on each of its protocols, to a simulator that takes them."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

from tests.support.proxy import WEB, Proxy, Simulator, running_proxy

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
PDF = b"%PDF-1.7\n\xff\xfe" + bytes(range(256)) * 40
DATA = {
    kind: f"data:{kind};base64,{base64.b64encode(data).decode()}"
    for kind, data in (("image/png", PNG), ("application/pdf", PDF))
}
ASKED = {"type": "text", "text": "O que é isto?"}


@pytest.fixture(scope="module")
def uploading(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    log = tmp_path_factory.mktemp("uploads") / "log"
    with running_proxy(log, STACKSPOT_UPLOADS="true", LOG_MESSAGES="true", **simulator_process.environ) as running:
        yield running


@pytest.fixture
def uploads_simulator(simulator: Simulator) -> Simulator:
    """The simulator, which has lost all files: what it has then, it got in this test."""
    WEB.delete(f"{simulator.url}/control/uploads").raise_for_status()
    return simulator


@dataclass(frozen=True)
class Question:
    """What the agent was asked: its prompt, and the files that came along, as the simulator has them."""

    prompt: str
    files: list[tuple[str, str, str]]


def asked(uploads_simulator: Simulator) -> Question:
    question = uploads_simulator.requests()[-1]
    known = {file["id"]: file for file in WEB.get(f"{uploads_simulator.url}/control/uploads").json()}
    files = [known[identifier] for identifier in question["body"]["upload_ids"]]
    return Question(question["prompt"], [(file["name"], file["content_type"], file["sha256"]) for file in files])


IMAGE = ("image-1.png", "image/png", hashlib.sha256(PNG).hexdigest())
REPORT = ("relatório.pdf", "application/pdf", hashlib.sha256(PDF).hexdigest())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_chat_completions_upload_an_image_and_a_pdf(
    uploading: Proxy, uploads_simulator: Simulator, stream: bool
) -> None:
    uploads_simulator.script({"text": "Um gato."})
    parts: Any = [
        ASKED,
        {"type": "image_url", "image_url": {"url": DATA["image/png"], "detail": "auto"}},
        {"type": "file", "file": {"file_data": DATA["application/pdf"], "filename": "relatório.pdf"}},
    ]
    with openai.OpenAI(base_url=f"{uploading.url}/v1", api_key=uploading.key, max_retries=0) as client:
        answer = client.chat.completions.create(
            model="stackspot-chat", messages=[{"role": "user", "content": parts}], stream=stream
        )
        said = (
            "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
            if stream
            else answer.choices[0].message.content
        )
    assert said == "Um gato."
    prompt = "O que é isto?\n[image image-1.png: attached]\n[file relatório.pdf: attached]"
    assert asked(uploads_simulator) == Question(prompt, [IMAGE, REPORT])


def test_the_next_turn_uploads_nothing(uploading: Proxy, uploads_simulator: Simulator) -> None:
    picture = {"type": "image_url", "image_url": {"url": DATA["image/png"]}}
    messages: list[dict[str, object]] = [{"role": "user", "content": [ASKED, picture]}]
    for said in ("Um gato.", "Preto."):
        uploads_simulator.script({"text": said})
        answer = uploading.post("/v1/chat/completions", {"model": "stackspot-chat", "messages": messages}).json()
        assert answer["choices"][0]["message"]["content"] == said
        assert asked(uploads_simulator).files == [IMAGE]
        if said == "Um gato.":
            before = WEB.get(f"{uploads_simulator.url}/control/requests", params={"at": "upload"}).json()
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": "De que cor?"}]
    assert WEB.get(f"{uploads_simulator.url}/control/requests", params={"at": "upload"}).json() == before


def test_responses_upload_an_image_and_a_pdf(uploading: Proxy, uploads_simulator: Simulator) -> None:
    parts: Any = [
        {"type": "input_text", "text": "O que é isto?"},
        {"type": "input_image", "image_url": DATA["image/png"], "detail": "auto"},
        {"type": "input_file", "file_data": DATA["application/pdf"], "filename": "relatório.pdf"},
    ]
    with openai.OpenAI(base_url=f"{uploading.url}/v1", api_key=uploading.key, max_retries=0) as client:
        client.responses.create(model="stackspot-chat", input=[{"role": "user", "content": parts}])
    assert asked(uploads_simulator).files == [IMAGE, REPORT]
    assert "[image image-1.png: attached]\n[file relatório.pdf: attached]" in asked(uploads_simulator).prompt


def test_messages_upload_an_image_and_a_document(uploading: Proxy, uploads_simulator: Simulator) -> None:
    def source(kind: str, data: bytes) -> dict[str, str]:
        return {"type": "base64", "media_type": kind, "data": base64.b64encode(data).decode()}

    parts: Any = [
        ASKED,
        {"type": "image", "source": source("image/png", PNG)},
        {"type": "document", "title": "Relatório", "source": source("application/pdf", PDF)},
    ]
    with anthropic.Anthropic(base_url=uploading.url, api_key=uploading.key, max_retries=0) as client:
        client.messages.create(model="stackspot-chat", max_tokens=100, messages=[{"role": "user", "content": parts}])
    assert asked(uploads_simulator).files == [IMAGE, ("file-1.pdf", *REPORT[1:])]
    assert (
        "[image image-1.png: attached]\n[document Relatório]\n[file file-1.pdf: attached]"
        in asked(uploads_simulator).prompt
    )


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
def test_gemini_uploads_an_image_and_a_pdf(uploading: Proxy, uploads_simulator: Simulator, method: str) -> None:
    files = [
        {"inlineData": {"mimeType": kind, "data": base64.b64encode(data).decode()}}
        for kind, data in (("image/png", PNG), ("application/pdf", PDF))
    ]
    contents = [{"role": "user", "parts": [{"text": "O que é isto?"}, *files]}]
    answer = uploading.post(f"/v1beta/models/stackspot-chat:{method}", {"contents": contents})
    assert answer.status_code == 200, answer.text
    assert asked(uploads_simulator).files == [IMAGE, ("file-1.pdf", *REPORT[1:])]
    assert (
        "O que é isto?\n[image image-1.png: attached]\n[file file-1.pdf: attached]" in asked(uploads_simulator).prompt
    )


def test_messages_keep_documents_and_search_results_as_text(uploading: Proxy, uploads_simulator: Simulator) -> None:
    found = {
        "type": "search_result",
        "title": "Ata",
        "source": "https://a.example/1",
        "content": [{"type": "text", "text": "Foi adiado."}],
    }
    parts: Any = [
        {
            "type": "document",
            "title": "Notas",
            "source": {"type": "text", "media_type": "text/plain", "data": "Dia 3."},
        },
        found,
        ASKED,
    ]
    with anthropic.Anthropic(base_url=uploading.url, api_key=uploading.key, max_retries=0) as client:
        client.messages.create(model="stackspot-chat", max_tokens=100, messages=[{"role": "user", "content": parts}])
    [prompt] = uploads_simulator.prompts()
    assert prompt == "[document Notas]\nDia 3.\n[search result Ata]\nhttps://a.example/1\nFoi adiado.\nO que é isto?"


def test_what_cannot_be_uploaded_is_a_400_that_names_the_part(uploading: Proxy, uploads_simulator: Simulator) -> None:
    part = {"type": "file", "file": {"file_id": "file-abc"}}
    answer = uploading.post(
        "/v1/chat/completions", {"model": "stackspot-chat", "messages": [{"role": "user", "content": [ASKED, part]}]}
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages[0].content[1]")
    assert "send the file itself in file_data" in answer.json()["error"]["message"]
    assert uploads_simulator.requests() == []


def test_ten_megabytes_arrive_and_nothing_of_them_is_logged(uploading: Proxy, uploads_simulator: Simulator) -> None:
    large = PDF[:9] + b"JKLM" * 2_490_000
    url = f"data:application/pdf;base64,{base64.b64encode(large).decode()}"
    part = {"type": "file", "file": {"file_data": url, "filename": "grande.pdf"}}
    answer = uploading.post(
        "/v1/chat/completions", {"model": "stackspot-chat", "messages": [{"role": "user", "content": [ASKED, part]}]}
    )
    assert answer.status_code == 200, answer.text[:500]
    assert asked(uploads_simulator).files == [("grande.pdf", "application/pdf", hashlib.sha256(large).hexdigest())]
    said = base64.b64encode(b"JKLM" * 6).decode()
    assert said in url
    assert said not in uploading.log.read_text()


def test_lines_with_questions_hold_no_files(uploading: Proxy, uploads_simulator: Simulator) -> None:
    data = base64.b64encode(PNG).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    bare = {"type": "file", "file": {"file_data": data, "filename": "a.png"}}
    for path, part in (("/v1/messages", {"type": "image", "source": source}), ("/v1/chat/completions", bare)):
        message = {"role": "user", "content": [{"type": "text", "text": f"Por {path}?"}, part]}
        uploading.post(path, {"model": "stackspot-chat", "max_tokens": 9, "messages": [message]}).raise_for_status()
        assert asked(uploads_simulator).files[0][2] == hashlib.sha256(PNG).hexdigest()
        deadline = time.monotonic() + 10
        while f"Por {path}?" not in (
            lines := "".join(file.read_text() for file in uploading.log.parent.rglob("*.jsonl"))
        ):
            assert time.monotonic() < deadline, "the line was never written"
            time.sleep(0.05)
        assert data[:200] not in lines
    assert f"[{len(data)} characters left out]" in lines
