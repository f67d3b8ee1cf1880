"""Images and files of a request, uploaded to the simulator, and named in the question: however one asks."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from custom_handler import StackspotLLM
from custom_handler.stackspot.client import StackspotClient

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
    monkeypatch.setattr("custom_handler.stackspot.agent_call.BACKOFF", 0.01)
    simulator.lose_uploads()
    return settings.changed(uploads={"enabled": True}, limits={"max_retries": 2})


@pytest.fixture
def uploader(generous: Any) -> StackspotLLM:
    return StackspotLLM(generous)


def stored(simulator: Any) -> list[tuple[str, str, str]]:
    return [(file["name"], file["content_type"], file["sha256"]) for file in simulator.uploads()]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def count(simulator: Any, at: str) -> int:
    return len(simulator.requests(at))


def test_an_image_and_a_file_arrive_and_the_prompt_names_them(
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


def test_only_the_file_service_receives_the_token(uploader: StackspotLLM, simulator: Any):
    uploader.completion("stackspot-chat", [user(image())])
    (permission,), (storage,) = simulator.requests("upload"), simulator.requests("storage")
    assert permission["headers"]["authorization"].startswith("Bearer ")
    assert permission["body"] == {"file_name": "image-1.png", "target_type": "CONTEXT", "expiration": 600}
    assert "authorization" not in storage["headers"]
    assert simulator.state()["chat_requests"] == 1


def test_a_file_is_uploaded_once_for_all_turns_of_a_conversation(
    ask: Callable[..., Any], uploader: StackspotLLM, simulator: Any
):
    history = [*QUESTION, {"role": "assistant", "content": "Um gato."}, user(text("De que cor?"))]
    for messages in (
        QUESTION,
        history,
        [*history, {"role": "assistant", "content": "Preto."}, user(image(), text("E este?"))],
    ):
        ask(uploader, messages)
    assert (count(simulator, "upload"), count(simulator, "storage"), count(simulator, "chat")) == (2, 2, 3)
    first, second, third = (chat["body"]["upload_ids"] for chat in simulator.requests("chat"))
    assert first == second == third
    assert simulator.requests("chat")[2]["prompt"].count("[image image-1.png: attached]") == 2


def test_a_changed_file_is_uploaded_again(uploader: StackspotLLM, simulator: Any):
    for data in (PDF, PDF + b"2"):
        uploader.completion("stackspot-chat", [user(pdf(data))])
    assert [file["sha256"] for file in simulator.uploads()] == [sha(PDF), sha(PDF + b"2")]


def test_without_uploads_the_prompt_has_a_placeholder(ask: Callable[..., Any], provider: Any, simulator: Any):
    ask(provider, QUESTION)
    (chat,) = simulator.requests("chat")
    assert chat["prompt"].endswith(
        "[image: not shown, this model reads text only]\n[file relatório.pdf: not shown, this model reads text only]"
    )
    assert "upload_ids" not in chat["body"]
    assert count(simulator, "upload") == 0


def test_a_tool_result_may_contain_an_image(uploader: StackspotLLM, simulator: Any):
    call = {"id": "c1", "type": "function", "function": {"name": "screenshot", "arguments": "{}"}}
    messages = [
        user(text("Mostre")),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": [image()]},
    ]
    uploader.completion("stackspot-chat", messages)
    assert "«tool result name=screenshot»\n[image image-1.png: attached]" in simulator.requests("chat")[0]["prompt"]
    assert len(simulator.uploads()) == 1


def test_a_repair_round_has_the_same_files(
    ask: Callable[..., Any], uploader: StackspotLLM, simulator: Any, weather: Any, block: Any
):
    simulator.script({"text": BROKEN}, {"text": block(city="Recife")})
    assert ask(uploader, QUESTION, **weather).finish == "tool_calls"
    first, second = (chat["body"]["upload_ids"] for chat in simulator.requests("chat"))
    assert first == second
    assert count(simulator, "upload") == 2


def test_a_shortened_prompt_has_the_same_files(uploader: StackspotLLM, simulator: Any):
    details = "Input tokens exceed the configured limit of 1000 tokens. Your messages resulted in 1100 tokens."
    simulator.script({"status": 400, "body": {"details": details}}, {"text": "Sim."})
    history = [user(text("a" * 3000)), {"role": "assistant", "content": "b"}, *QUESTION]
    uploader.completion("stackspot-chat", history)
    first, second = simulator.requests("chat")
    assert first["body"]["upload_ids"] == second["body"]["upload_ids"]
    assert len(second["prompt"]) < len(first["prompt"])
    assert count(simulator, "upload") == 2


def test_uploads_unknown_to_the_agent_are_repeated_once(
    ask: Callable[..., Any], uploader: StackspotLLM, simulator: Any
):
    ask(uploader, QUESTION)
    simulator.lose_uploads()
    ask(uploader, QUESTION)
    assert [chat["status"] for chat in simulator.requests("chat")] == [200, 404, 200]
    assert [file["sha256"] for file in simulator.uploads()] == [sha(PNG), sha(PDF)]


def test_an_agent_that_knows_no_upload_is_called_twice(ask: Callable[..., Any], uploader: StackspotLLM, simulator: Any):
    simulator.script({"times": 2, "status": 404, "body": {"code": "X_NOT_FOUND", "details": "Upload 1 not found"}})
    with pytest.raises(Exception, match="does not know a file that was uploaded for it") as raised:
        ask(uploader, QUESTION)
    assert raised.value.status_code == 502  # type: ignore[attr-defined]
    assert count(simulator, "chat") == 2


REFUSED = {"status": 403, "body": {"code": "FORBIDDEN"}}
FAULTS: list[tuple[str, list[dict[str, Any]], tuple[int, int], str]] = [
    ("a permission that is refused", [{"at": "upload", **REFUSED}], (1, 403), "STACKSPOT_UPLOADS=false"),
    ("a token that is refused once", [{"at": "upload", "status": 401}], (2, 200), ""),
    ("a token that is refused twice", [{"at": "upload", "status": 401, "times": 2}], (2, 502), "refuses a fresh token"),
    ("a service that fails once", [{"at": "upload", "status": 503}], (2, 200), ""),
    (
        "a service that fails always",
        [{"at": "upload", "status": 503, "times": 3}],
        (3, 502),
        "file service failed with HTTP 503",
    ),
    ("too many permissions", [{"at": "upload", "status": 429}], (2, 200), ""),
    ("a name that is refused", [{"at": "upload", "status": 422}], (1, 400), "refuses this file with HTTP 422"),
    (
        "a permission that is none",
        [{"at": "upload", "body": {"id": "1"}}],
        (1, 502),
        "no permission that can be read",
    ),
    (
        "a service that hangs up",
        [{"at": "upload", "fault": "reset_before", "times": 3}],
        (3, 503),
        "The file service cannot be reached",
    ),
    ("a form that has expired", [{"at": "storage", "status": 403}], (2, 200), ""),
    ("a storage that fails once", [{"at": "storage", "status": 500}], (2, 200), ""),
    (
        "a storage that fails always",
        [{"at": "storage", "status": 500, "times": 3}],
        (3, 502),
        "file storage failed with HTTP 500",
    ),
    ("a storage that refuses", [{"at": "storage", "status": 400}], (1, 502), "file storage failed with HTTP 400"),
    (
        "a storage that is closed",
        [{"at": "storage", "fault": "close_before", "times": 3}],
        (3, 503),
        "The file storage cannot be reached",
    ),
    (
        "a file that is too large there",
        [{"at": "storage", "status": 400, "body": "EntityTooLarge"}],
        (1, 400),
        "send a smaller one",
    ),
]


@pytest.mark.parametrize(
    ("plays", "outcome", "says"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
@pytest.mark.parametrize("name", ["completion", "acompletion"])
def test_a_fault_of_the_file_service_is_retried_or_raised(
    plays: Any, outcome: tuple[int, int], says: str, name: str, entries: Any, uploader: StackspotLLM, simulator: Any
):
    simulator.script(*plays)
    try:
        entries[name](uploader, [user(text("Oi"), image())])
        status, message = 200, ""
    except Exception as error:  # noqa: BLE001  it is looked at below
        status, message = getattr(error, "status_code", 0), str(error)
    assert (count(simulator, "upload"), status) == outcome
    assert says in message
    assert count(simulator, "chat") == (status == 200)


@pytest.mark.usefixtures("stopped_deadlines")
def test_a_slow_storage_ends_with_the_calls_deadline(ask: Callable[..., Any], uploader: Any, simulator: Any):
    uploader.authenticate()  # which takes nothing of the timeout then
    simulator.script({"at": "storage", "fault": "hang_headers", "times": 3})
    with pytest.raises(Exception, match=r"The file storage sent nothing for 0\.5 s") as raised:
        ask(uploader, [user(image())], timeout=0.5)
    assert raised.value.status_code == 504  # type: ignore[attr-defined]
    assert count(simulator, "chat") == 0


def test_uploads_do_not_count_in_the_request_window(generous: Any, simulator: Any):
    uploader = StackspotLLM(generous.changed(limits={"requests_per_minute": 1, "queue_timeout": 0.1}))
    uploader.completion("stackspot-chat", [user(image(), pdf())])
    assert (count(simulator, "storage"), count(simulator, "chat")) == (2, 1)


XML = (
    '<?xml version="1.0"?><Error><Code>InvalidPolicyDocument</Code><Message>Policy of relatório.pdf expired.</Message>'
    "<AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId></Error>"
)


@pytest.mark.parametrize(
    ("at", "body", "said"),
    [
        ("upload", {"code": "FILE_001", "message": "The name relatório.pdf has no known ending"}, "The name (removed) has no known ending"),
        ("upload", "quota of uploads reached", "quota of uploads reached"),
        ("storage", XML, "Policy of (removed) expired."),
    ],
)  # fmt: skip
def test_an_error_has_the_words_of_the_file_service(
    ask: Callable[..., Any], uploader: StackspotLLM, simulator: Any, at: str, body: Any, said: str
):
    simulator.script({"at": at, "status": 400, "body": body})
    with pytest.raises(Exception, match="HTTP 400") as raised:
        ask(uploader, [user(pdf())])
    assert f'The platform says: "{said}"' in str(raised.value)
    assert "relatório" not in str(raised.value)


def test_neither_name_nor_content_of_a_file_is_logged(
    ask: Callable[..., Any], uploader: StackspotLLM, simulator: Any, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("DEBUG")
    ask(uploader, QUESTION)
    simulator.lose_uploads()
    simulator.script({"match": "relat", "at": "upload", "status": 422})
    with pytest.raises(Exception, match="refuses this file with HTTP 422") as raised:
        ask(uploader, QUESTION)
    assert "relatório" not in str(raised.value)
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("custom_handler"))
    assert "Uploaded application/pdf of" in ours
    for secret in ("relatório", "segredo", uri()[30:60], "x-amz"):
        assert secret not in ours


def test_a_rejected_request_uploads_nothing(uploader: StackspotLLM, simulator: Any):
    with pytest.raises(Exception, match="of no type that can be uploaded"):
        uploader.completion("stackspot-chat", [user(image(), image(b"MZ\x90\x00", "image/png"))])
    assert count(simulator, "upload") == 0


@pytest.mark.parametrize(
    "url", ["https://169.254.169.254/latest/meta-data", "https://localhost/", "https://[::1]/a.png"]
)
def test_an_address_in_a_private_network_is_a_400(ask: Callable[..., Any], generous: Any, simulator: Any, url: str):
    part = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(Exception, match="no address in the public internet") as raised:
        ask(StackspotLLM(generous.changed(uploads={"fetch_urls": True})), [user(text("Veja"), part)])
    assert (raised.value.status_code, raised.value.param) == (400, "messages[0].content[1]")  # type: ignore[attr-defined]
    assert count(simulator, "chat") == count(simulator, "upload") == 0


def test_a_url_is_a_placeholder_without_upload_urls(uploader: StackspotLLM, simulator: Any):
    uploader.completion(
        "stackspot-chat", [user({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}})]
    )
    assert simulator.requests("chat")[0]["prompt"] == "[image: not shown, this model reads text only]"


def test_concurrent_uploads_of_one_file_all_succeed(uploader: StackspotLLM, simulator: Any):
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: uploader.completion("stackspot-chat", QUESTION), range(6)))
    known = {file["id"]: file["sha256"] for file in simulator.uploads()}
    told = [[known[one] for one in chat["body"]["upload_ids"]] for chat in simulator.requests("chat")]
    assert told == [[sha(PNG), sha(PDF)]] * 6


def test_a_large_file_is_sent_without_a_warning_and_arrives_whole(
    ask: Callable[..., Any], uploader: StackspotLLM, simulator: Any
):
    large = PDF + bytes(range(256)) * 8192
    ask(uploader, [user(text("Resuma"), pdf(large))])
    assert stored(simulator) == [("relatório.pdf", "application/pdf", sha(large))]


def test_a_child_process_uploads_for_itself(settings: Any):
    transport = StackspotClient(settings)
    transport.uploads._lock.acquire()
    transport._reset_after_fork()
    assert not transport.uploads._lock.locked()
