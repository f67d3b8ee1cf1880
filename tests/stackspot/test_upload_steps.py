"""What uploads need step by step, with the answers handed in by the test; over a network: `tests/test_uploads.py`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from custom_handler.errors import AgentRejected, AgentTimeout, RequestError, StackspotError, UploadFailed, UploadUnknown
from custom_handler.request.files import File, FilePart, name_files
from custom_handler.settings import AccountSettings, Settings, UploadSettings
from custom_handler.stackspot.agent_call import (
    AcquireSlot,
    AcquireToken,
    AgentCall,
    FetchPublicFile,
    Read,
    ResponseHead,
    Send,
    Sleep,
    advance,
)
from custom_handler.stackspot.deadline import Deadline
from custom_handler.stackspot.tokens import Token
from custom_handler.stackspot.uploads import (
    MAX_FETCHED_BYTES,
    UPLOAD_TIMEOUT,
    TurnFiles,
    UploadCache,
    fetch_files,
    open_stream_with_files,
)
from tests.support.clock import Clock

SETTINGS = Settings(
    account=AccountSettings(inference_url="https://agent.example", files_url="https://files.example"),
    uploads=UploadSettings(enabled=True, expiration=100),
)
CALL = AgentCall("01ARZ3NDEKTSV4RRFFQ69G5FAV", "Olá", "c-1")
PERMISSION = {"id": "U1", "url": "https://storage.example/bucket", "form": {"key": "k", "policy": "p"}}


def file(data: bytes = b"text", name: str = "a.txt") -> File:
    return name_files([FilePart(0, 0, name, data=data)], 9)[0]


class Opening:
    """What was asked for until an answer could be read; each request is answered by its place: form, bucket or chat."""

    def __init__(self, *files: File, cache: UploadCache | None = None, **given: Any):
        self.clock: Clock = given.get("clock") or Clock()
        self.asked: list[Any] = []
        self.error: StackspotError | None = None
        self.cache = cache or UploadCache(self.clock)
        self._account = given.get("account", "acme/me")
        self._answers = {name: iter(given.get(name, ())) for name in ("form", "bucket", "chat")}
        self._ids = iter(f"U{number}" for number in range(1, 99))
        self._body: list[bytes] = []
        self._seconds = given.get("seconds", 0.0)
        settings = given.get("settings", SETTINGS)
        deadline = Deadline(given.get("timeout", 600), self.clock)
        self._run(open_stream_with_files(CALL, TurnFiles(files, self.cache), settings, deadline))

    def _run(self, steps: Any) -> None:
        try:
            step = advance(steps, None)
            while step is not None:
                self.asked += [step]
                step = advance(steps, self._answer(step))
        except StackspotError as error:
            self.error = error

    def _answer(self, step: Any) -> Any:
        match step:
            case AcquireToken():
                return Token("t", 1200, self._account)
            case Sleep(seconds):
                self.clock.now += seconds
            case Read():
                return self._body.pop(0) if self._body else None
            case Send(url=url):
                self.clock.now += self._seconds
                name = url.rpartition("/")[2]
                self._body = [json.dumps(PERMISSION | {"id": next(self._ids)}).encode()] if name == "form" else []
                return next(self._answers[name], ResponseHead(204 if name == "bucket" else 200, {}))
        return None

    def sent(self, name: str) -> list[Send]:
        return [step for step in self.asked if isinstance(step, Send) and step.url.endswith(name)]

    @property
    def ids(self) -> list[Any]:
        return [json.loads(step.content).get("upload_ids") for step in self.sent("chat")]


def test_without_files_there_is_nothing_to_upload():
    opening = Opening()
    assert [type(step) for step in opening.asked] == [AcquireToken, AcquireSlot, Send]
    assert opening.ids == [None]


def test_a_file_is_uploaded_before_a_slot_is_acquired():
    opening = Opening(file())
    kinds = [type(step) for step in opening.asked]
    assert kinds == [AcquireToken, AcquireToken, Send, Read, Read, Send, AcquireToken, AcquireSlot, Send]
    (permission,), (posted,) = opening.sent("form"), opening.sent("bucket")
    assert json.loads(permission.content) == {"file_name": "a.txt", "target_type": "CONTEXT", "expiration": 100}
    assert permission.headers["authorization"] == "Bearer t"
    assert (posted.url, posted.headers) == ("https://storage.example/bucket", {})
    form: Any = posted.content
    assert (form.fields, form.file_name, form.data) == ({"key": "k", "policy": "p"}, "a.txt", b"text")
    assert opening.ids == [["U1"]]


def test_an_upload_form_may_have_status_201():
    head = ResponseHead(201, {}, json.dumps(PERMISSION).encode())
    assert Opening(file(), form=[head]).ids == [["U1"]]


def test_files_keep_their_order_and_equal_ones_are_one():
    one, two = file(b"1"), file(b"2")
    assert Opening(two, one, two).ids == [["U1", "U2"]]


def test_an_upload_is_cached_for_90_percent_of_its_expiration():
    clock = Clock()
    cache = UploadCache(clock)
    for now, uploads in ((0.0, 1), (89.9, 0), (90.1, 1)):
        clock.now = now
        assert len(Opening(file(), cache=cache, clock=clock).sent("form")) == uploads


def test_an_upload_is_cached_for_one_account():
    cache = UploadCache(Clock())
    Opening(file(), cache=cache)
    assert len(Opening(file(), cache=cache, account="other/me").sent("form")) == 1


def test_the_cache_is_bounded_and_drops_the_oldest():
    cache = UploadCache(Clock(), max_size=2)
    files = [file(bytes([65 + number])) for number in range(3)]
    for number, one in enumerate(files):
        cache.put("acme/me", one, f"U{number}", 60)
    assert [cache.get("acme/me", one) for one in files] == [None, "U1", "U2"]


def test_a_rejected_token_is_renewed_once():
    opening = Opening(file(), form=[ResponseHead(401, {})])
    assert opening.error is None
    refused = [step.rejected for step in opening.asked if isinstance(step, AcquireToken)]
    assert refused == [None, None, Token("t", 1200, "acme/me"), None]
    assert len(opening.sent("form")) == 2


def test_a_cache_lock_held_at_a_fork_is_replaced_in_the_child():
    cache = UploadCache(Clock())
    cache._lock.acquire()
    cache.reset_after_fork()
    cache.put("acme/me", file(), "U1", 60)
    assert cache.get("acme/me", file()) == "U1"


def test_an_upload_unknown_to_the_agent_is_repeated_once():
    unknown = ResponseHead(404, {}, b'{"code": "NOT_FOUND", "details": "Upload U1 not found"}')
    opening = Opening(file(), chat=[unknown])
    assert (opening.error, opening.ids) == (None, [["U1"], ["U2"]])
    opening = Opening(file(), chat=[unknown, unknown])
    assert isinstance(opening.error, UploadUnknown)
    assert opening.cache.get("acme/me", file()) == "U2"


def test_a_request_without_files_is_not_repeated_for_unknown_uploads():
    opening = Opening(chat=[ResponseHead(400, {}, b'{"details": "uploads are disabled"}')])
    assert isinstance(opening.error, AgentRejected)
    assert len(opening.ids) == 1


def test_all_attempts_share_the_deadline_of_the_call():
    opening = Opening(file(), bucket=[ResponseHead(500, {})] * 9, timeout=25, seconds=10)
    assert isinstance(opening.error, UploadFailed)
    assert opening.sent("form")[0].timeout == 25
    assert len(opening.sent("bucket")) < 3


def test_a_second_file_is_not_uploaded_after_the_deadline():
    opening = Opening(file(b"1"), file(b"2"), timeout=15, seconds=10)
    assert isinstance(opening.error, AgentTimeout)
    assert len(opening.sent("form")) == 1


def test_an_upload_may_take_two_minutes_beside_the_agents_time():
    opening = Opening(file(), seconds=60)
    assert [step.timeout for step in opening.sent("form")] == [UPLOAD_TIMEOUT]
    assert [step.timeout for step in opening.sent("chat")] == [120]


@pytest.mark.parametrize("url", ["http://storage.example/bucket", "file:///etc/passwd", "bucket"])
def test_the_storage_needs_https_where_the_file_service_has_it(url):
    body = json.dumps(PERMISSION | {"url": url}).encode()
    opening = Opening(file(), form=[ResponseHead(201, {}, body)])
    assert isinstance(opening.error, UploadFailed)
    assert opening.sent("bucket") == []


def test_a_permission_that_is_nested_too_deep_is_an_error():
    opening = Opening(file(), form=[ResponseHead(201, {}, b"[" * 60_000)])
    assert isinstance(opening.error, UploadFailed)
    assert "no permission that can be read" in opening.error.message


def test_uploads_respect_max_retries():
    opening = Opening(file(), bucket=[ResponseHead(500, {})] * 9, settings=SETTINGS.changed(limits={"max_retries": 0}))
    assert len(opening.sent("bucket")) == 1


def test_each_address_is_fetched_once():
    found = [FilePart(0, part, "", url=url) for part, url in enumerate(["https://a.example/1", "https://a.example/1"])]
    steps = fetch_files([*found, FilePart(0, 2, "", data=b"c")], SETTINGS.uploads, Deadline(600, Clock()))
    assert next(steps) == FetchPublicFile(
        "https://a.example/1", "messages[0].content[0]", SETTINGS.uploads.max_bytes, 30
    )
    with pytest.raises(StopIteration) as ended:
        steps.send(b"bytes")
    assert [one.data for one in ended.value.value] == [b"bytes", b"bytes", b"c"]


def test_fetched_files_have_a_total_size_limit():
    found = [FilePart(0, part, "", url=f"https://a.example/{part}") for part in range(5)]
    steps = fetch_files(found, SETTINGS.uploads, Deadline(600, Clock()))
    given = [None, *[bytes(SETTINGS.uploads.max_bytes)] * 3]
    assert [steps.send(data).url[-1] for data in given] == ["0", "1", "2", "3"]
    with pytest.raises(RequestError, match="more than 33554432 bytes together") as raised:
        steps.send(given[-1])
    assert raised.value.param == "messages[0].content[3]"


def test_one_file_may_be_as_large_as_the_operator_says():
    large = UploadSettings(enabled=True, max_bytes=MAX_FETCHED_BYTES + 1)
    steps = fetch_files([FilePart(0, 0, "", url="https://a.example/1")], large, Deadline(600, Clock()))
    next(steps)
    with pytest.raises(StopIteration):
        steps.send(bytes(MAX_FETCHED_BYTES + 1))
