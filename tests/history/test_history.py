"""Responses are kept with their conversation, and found by the API key that made them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from custom_handler.errors import RequestError, ResponseStoreUnavailable, ResponseUnknown
from custom_handler.history import history as module
from custom_handler.history.history import ResponseHistory
from custom_handler.history.store import ResponseStore, StoreFailed
from custom_handler.instrumentation import Measurement, ResponseStored

LIMIT = 2000


class Kept(ResponseHistory):
    """A history that remembers what was measured."""

    def __init__(self, store: ResponseStore) -> None:
        self.measured: list[Measurement] = []
        super().__init__(store, LIMIT, self.measured.append)


@pytest.fixture
def history(store: ResponseStore) -> Kept:
    return Kept(store)


def message(text: str, number: int = 1) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": None}
    return {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": [part]}


async def kept(history: ResponseHistory, name: str, body: Any, *output: Any, owner: str = "a") -> None:
    turn = await history.resolve(owner, body)
    await history.keep(turn, {"id": name, "object": "response", "output": list(output)})


def texts(items: list[Any]) -> list[str]:
    return [item["content"] if isinstance(item["content"], str) else item["content"][0]["text"] for item in items]


async def test_a_request_continues_a_response_with_all_that_was_said_before(history: Kept) -> None:
    await kept(history, "r1", {"input": "Oi"}, message("Olá", 1))
    await kept(
        history, "r2", {"input": [{"role": "user", "content": "E?"}], "previous_response_id": "r1"}, message("Eu", 2)
    )
    turn = await history.resolve("a", {"input": "Mais", "previous_response_id": "r2"})
    assert texts(turn.items) == ["Oi", "Olá", "E?", "Eu", "Mais"]
    assert (turn.added, turn.previous) == (1, "r2")
    assert "logprobs" not in turn.items[1]["content"][0]  # null is no value of an input
    assert history.measured == [ResponseStored("kept")] * 2


async def test_a_response_is_found_as_its_client_received_it_with_typed_items(history: Kept) -> None:
    await kept(history, "r1", {"input": "Oi"}, message("Olá"))
    stored = await history.find("a", "r1")
    assert stored.response == {"id": "r1", "object": "response", "output": [message("Olá")]}
    [item] = stored.items
    assert (item["type"], item["role"], item["content"]) == ("message", "user", [{"type": "input_text", "text": "Oi"}])
    assert item["id"].startswith("msg_")


async def test_deleting_an_earlier_response_leaves_the_later_ones_whole(history: Kept) -> None:
    await kept(history, "r1", {"input": "Oi"}, message("Olá", 1))
    await kept(history, "r2", {"input": "E?", "previous_response_id": "r1"}, message("Eu", 2))
    await history.delete("a", "r1")
    turn = await history.resolve("a", {"input": "Mais", "previous_response_id": "r2"})
    assert texts(turn.items) == ["Oi", "Olá", "E?", "Eu", "Mais"]
    with pytest.raises(ResponseUnknown):
        await history.delete("a", "r1")


@pytest.mark.parametrize("name", ["r1", "r2", "", "é", "x" * 2000, "\ud800", "a\nb"])
async def test_an_unknown_or_foreign_id_is_not_found(history: Kept, name: str) -> None:
    await kept(history, "r1", {"input": "Oi"}, message("Olá"))
    for call in (history.find("b", name), history.delete("b", name)):
        with pytest.raises(ResponseUnknown) as raised:
            await call
        assert (raised.value.status_code, len(raised.value.message) < 300) == (404, True)
    if name:
        with pytest.raises(ResponseUnknown, match="does not know that response of this API key") as raised:
            await history.resolve("b", {"input": "E?", "previous_response_id": name})
        assert (raised.value.param, raised.value.code) == ("previous_response_id", "previous_response_not_found")


@pytest.mark.parametrize("reference", [{"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}])
async def test_an_item_is_found_by_a_reference(history: Kept, reference: dict[str, Any]) -> None:
    await kept(history, "r1", {"input": "Oi"}, message("Olá"))
    user = {"role": "user", "content": "E?"}
    turn = await history.resolve("a", {"input": [user, reference, user]})
    assert (texts(turn.items), turn.added, turn.previous) == (["E?", "Olá", "E?"], 3, None)
    continued = await history.resolve("a", {"input": [reference, user], "previous_response_id": "r1"})
    assert (texts(continued.items), continued.added) == (["Oi", "Olá", "E?"], 1)
    with pytest.raises(
        ResponseUnknown, match=r"no item .msg_1. of this API key to refer to\. Send the item itself"
    ) as raised:
        await history.resolve("b", {"input": [reference]})
    assert raised.value.param == "input"


async def test_items_of_a_request_are_found_by_their_own_ids(history: Kept) -> None:
    result = {"type": "function_call_output", "call_id": "c1", "output": "25", "id": "fco_mine"}
    await kept(history, "r1", {"input": [result]}, message("Olá"))
    assert (await history.resolve("a", {"input": [{"id": "fco_mine"}]})).items == [result]


async def test_too_many_references_are_refused(history: Kept) -> None:
    items = [{"id": f"msg_{number}"} for number in range(module.MAX_REFERENCES + 1)]
    with pytest.raises(RequestError, match="a request can refer to 1000 items"):
        await history.resolve("a", {"input": items})


async def test_a_conversation_that_is_too_large_is_not_kept_and_the_next_request_says_so(history: Kept) -> None:
    await kept(history, "r1", {"input": "x" * LIMIT}, message("Olá"))
    with pytest.raises(
        RequestError, match=f"the conversation of that response was not kept, because it is larger than {LIMIT} bytes"
    ) as raised:
        await history.resolve("a", {"input": "E?", "previous_response_id": "r1"})
    assert (raised.value.status_code, raised.value.param) == (400, "previous_response_id")
    with pytest.raises(ResponseUnknown, match="larger than RESPONSES_MAX_BYTES"):
        await history.find("a", "r1")
    assert history.measured == [ResponseStored("too_large")]
    await history.delete("a", "r1")


@pytest.mark.parametrize(("body", "wanted"), [({}, True), ({"store": True}, True), ({"store": False}, False)])
async def test_what_the_client_does_not_want_stored_is_not_kept(history: Kept, body: Any, wanted: bool) -> None:
    turn = await history.resolve("a", {"input": "Oi", **body})
    turn.bridged = True
    assert turn.is_kept is wanted


class Broken:
    """A store whose calls fail."""

    def put(self, *_: Any) -> None:
        raise StoreFailed("OperationalError")

    get = items = delete = close = put


async def test_a_failed_store_costs_no_answer_and_is_a_503_for_who_needs_it(caplog: pytest.LogCaptureFixture) -> None:
    history = Kept(Broken())
    for _ in range(2):
        await kept(history, "r1", {"input": "segredo"}, message("Olá"))
    assert history.measured == [ResponseStored("failed")] * 2
    assert caplog.text.count("Responses cannot be kept (OperationalError)") == 1
    assert "segredo" not in caplog.text
    for call in (history.find("a", "r1"), history.resolve("a", {"input": "E?", "previous_response_id": "r1"})):
        with pytest.raises(ResponseStoreUnavailable, match="The store of responses cannot be read right now"):
            await call


async def test_a_store_that_does_not_respond_delays_an_answer_for_a_limited_time(
    store: ResponseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.01)
    history, ended = Kept(store), threading.Event()
    monkeypatch.setattr(store, "put", lambda *_: ended.wait())
    await kept(history, "r1", {"input": "Oi"}, message("Olá"))
    ended.set()
    assert history.measured == [ResponseStored("failed")]
