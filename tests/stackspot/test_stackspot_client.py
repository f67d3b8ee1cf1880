"""The steps carried out over a real network, for callers that block and for those that await."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest

from custom_handler.errors import (
    AgentFailed,
    AgentTimeout,
    AgentUnreachable,
    ConfigurationError,
    CredentialsRefused,
    IdentityUnavailable,
    StackspotError,
)
from custom_handler.provider.started_stream import StartedStream, close_abandoned_streams
from custom_handler.stackspot.agent_call import AcquireToken, Emit, Read, ResponseHead, Send, Steps
from custom_handler.stackspot.client import REFUSAL_BYTES, StackspotClient

AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
Drive = Callable[[StackspotClient, Steps[Any]], list[Any]]


def drive(transport: StackspotClient, steps: Steps[Any]) -> list[Any]:
    return [event for events in transport.drive(steps) for event in events]


def adrive(transport: StackspotClient, steps: Steps[Any]) -> list[Any]:
    async def gather() -> list[Any]:
        return [event async for events in transport.adrive(steps) for event in events]

    return asyncio.run(gather())


@pytest.fixture(params=[drive, adrive], ids=["blocking", "awaiting"])
def carry_out(request: pytest.FixtureRequest) -> Drive:
    return request.param


@pytest.fixture
def transport(settings: Any) -> StackspotClient:
    return StackspotClient(settings)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def send(url: str, token: str, timeout: float = 10) -> Send:
    body = {"user_prompt": "Olá", "streaming": True, "stackspot_knowledge": False, "return_ks_in_response": False}
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    return Send(f"{url}/v1/agent/{AGENT}/chat", headers, json.dumps(body).encode(), timeout)


def asking(url: str, timeout: float = 10) -> Steps[Any]:
    """Ask, and emit the head and every piece of the answer."""
    token = yield AcquireToken()
    head = yield send(url, token.value, timeout)
    yield Emit([head])
    while (chunk := (yield Read(60.0))) is not None:
        yield Emit([chunk])


def test_an_answer_arrives_in_its_pieces(carry_out, transport, simulator):
    simulator.script({"text": "um dois"})
    head, *chunks = carry_out(transport, asking(simulator.url))
    assert (head.status, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert b'data: {"message":" dois"}\n\n' in b"".join(chunks)


def test_a_refusal_arrives_with_its_body(carry_out, transport, simulator):
    simulator.script({"status": 429, "body": {"code": "LIMIT"}, "headers": {"Retry-After": "7"}})
    (head,) = carry_out(transport, asking(simulator.url))
    assert head == ResponseHead(429, head.headers, b'{"code":"LIMIT"}')
    assert head.headers["retry-after"] == "7"


def test_of_a_huge_refusal_only_the_beginning_is_read(carry_out, transport, simulator):
    simulator.script({"status": 500, "body": "x" * 5_000_000})
    head, *_ = carry_out(transport, asking(simulator.url))
    assert REFUSAL_BYTES <= len(head.body) < 5_000_000


def test_a_call_can_be_made_again_after_a_refusal(carry_out, transport, simulator):
    def twice() -> Steps[Any]:
        token = yield AcquireToken()
        head = yield send(simulator.url, "wrong")
        yield Emit([head.status])
        head = yield send(simulator.url, token.value)
        yield Emit([head.status])
        while (yield Read(60.0)) is not None:
            pass

    assert carry_out(transport, twice()) == [401, 200]
    assert [record["status"] for record in simulator.requests("chat")] == [401, 200]


def test_a_refused_token_is_replaced(carry_out, transport, simulator):
    def renewing() -> Steps[Any]:
        first = yield AcquireToken()
        again = yield AcquireToken()
        other = yield AcquireToken(refused=first)
        yield Emit([again is first, other is first])

    assert carry_out(transport, renewing()) == [True, False]
    assert simulator.state()["token_requests"] == 2


def failing(steps: Steps[Any]) -> Steps[Any]:
    """Carry on to the error, and emit it: steps are told of errors where they asked."""
    try:
        yield from steps
    except StackspotError as error:
        yield Emit([error])


@pytest.mark.parametrize(
    ("play", "kind", "said"),
    [
        ({"fault": "reset_before"}, AgentUnreachable, "cannot be reached: 127.0.0.1"),
        ({"fault": "close_before"}, AgentUnreachable, "STACKSPOT_INFERENCE_URL"),
        ({"text": "um dois", "fault": "reset_within"}, AgentFailed, "broke within its answer"),
        ({"text": "um dois", "fault": "close_within"}, AgentFailed, "broke within its answer"),
        ({"fault": "hang_headers"}, AgentTimeout, "sent nothing for 1 s"),
        ({"text": "um dois", "fault": "stall"}, AgentTimeout, "sent nothing for 1 s"),
    ],
    ids=["reset before", "close before", "reset within", "close within", "silence", "silence within"],
)
def test_what_the_network_does_becomes_an_error_of_ours(carry_out, transport, simulator, play, kind, said):
    simulator.script(play)
    *_, error = carry_out(transport, failing(asking(simulator.url, timeout=1)))
    assert type(error) is kind
    assert said in error.message


def test_a_host_that_nobody_listens_on_is_unreachable(carry_out, transport, closed_port):
    (error,) = carry_out(transport, failing(asking(f"http://127.0.0.1:{closed_port}")))
    assert type(error) is AgentUnreachable
    assert "127.0.0.1" in error.message


@pytest.mark.parametrize("url", ["http://[", "genai.example", "http://host:port", "ftp://host", "http://a\x00b"])
def test_an_address_that_is_none_is_unreachable(carry_out, transport, url):
    (error,) = carry_out(transport, failing(asking(url)))
    assert type(error) is AgentUnreachable
    assert "STACKSPOT_INFERENCE_URL" in error.message


class Served:
    """A server that answers each connection with some bytes, and then, if told so, one more every tenth of a second."""

    def __init__(self, said: bytes, drip: bytes = b"") -> None:
        self._said, self._drip = said, drip
        self._stop = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self._socket.accept()[0],), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.recv(65536)
            connection.sendall(self._said)
            while self._drip and not self._stop.wait(0.1):
                connection.sendall(self._drip)

    def close(self) -> None:
        self._stop.set()
        self._socket.close()


@pytest.fixture
def served():
    servers: list[Served] = []

    def serve(said: bytes, drip: bytes = b"") -> Served:
        servers.append(Served(said, drip))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def test_a_corporate_proxy_that_refuses_its_credentials_is_told_without_them_and_for_good(
    carry_out, transport, served, monkeypatch
):
    def sending() -> Steps[Any]:
        yield send("https://agent.invalid", "token")

    proxy = served(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
    monkeypatch.setenv("https_proxy", f"http://operator:proxy-password@{proxy.address}")
    monkeypatch.setenv("no_proxy", "")
    (error,) = carry_out(transport, failing(sending()))
    assert (type(error), error.retryable) == (AgentUnreachable, False)
    assert "407" in error.message
    assert "HTTPS_PROXY" in error.message
    assert "password" not in error.message


DRIPPING_HEADERS = b"HTTP/1.1 200 OK\r\nx: "
DRIPPING_REFUSAL = b"HTTP/1.1 500 Error\r\ncontent-length: 9999\r\n\r\n"


@pytest.mark.parametrize("said", [DRIPPING_HEADERS, DRIPPING_REFUSAL], ids=["headers", "a refusal"])
def test_an_agent_that_drips_before_its_answer_is_given_up(carry_out, transport, served, said):
    agent = served(said, b"x")

    def sending() -> Steps[Any]:
        yield send(f"http://{agent.address}", "token", 0.5)

    (error,) = carry_out(transport, failing(sending()))
    assert type(error) is AgentTimeout
    assert "sent nothing for 0.5 s" in error.message


def test_a_read_may_take_less_time_than_its_request(carry_out, transport, simulator):
    def reading() -> Steps[Any]:
        token = yield AcquireToken()
        yield send(simulator.url, token.value, 60)
        while (yield Read(0.2)) is not None:
            pass

    simulator.script({"text": "um dois", "fault": "stall"})
    (error,) = carry_out(transport, failing(reading()))
    assert type(error) is AgentTimeout
    assert "sent nothing for 0.2 s" in error.message


async def batches_until_error(transport: StackspotClient, steps: Steps[Any]) -> list[Any]:
    batches: list[Any] = []
    try:
        async for events in transport.adrive(steps):
            batches.append(list(events))  # noqa: PERF401  those before an error count
    except StackspotError as error:
        batches.append(error)
    return batches


def ending(url: str, end: StackspotError | None) -> Steps[Any]:
    """Emit the pieces of an answer, and behind its end another event, or an error."""
    token = yield AcquireToken()
    yield send(url, token.value)
    while (chunk := (yield Read(60.0))) is not None:
        yield Emit([chunk])
    if end is not None:
        raise end
    yield Emit(["end"])


async def test_an_end_that_is_known_leaves_with_the_text_before_it(transport, simulator):
    simulator.script({"status": 200, "body": {"message": "Olá"}})
    [[chunk, end]] = await batches_until_error(transport, ending(simulator.url, None))
    assert (json.loads(chunk)["message"], end) == ("Olá", "end")


async def test_an_error_at_the_end_comes_behind_the_text_before_it(transport, simulator):
    simulator.script({"status": 200, "body": {"message": "Olá"}})
    [[chunk], error] = await batches_until_error(transport, ending(simulator.url, failure := AgentFailed("no")))
    assert (json.loads(chunk)["message"], error) == ("Olá", failure)


def test_an_error_that_the_steps_do_not_handle_ends_the_drive(carry_out, transport, closed_port):
    with pytest.raises(AgentUnreachable):
        carry_out(transport, asking(f"http://127.0.0.1:{closed_port}"))


@pytest.mark.parametrize(
    ("play", "kind", "said"),
    [
        ({"status": 401, "body": {"error": "unauthorized_client"}}, CredentialsRefused, "CLIENT_SECRET"),
        ({"status": 401, "html": True}, CredentialsRefused, "CLIENT_SECRET"),
        ({"status": 404, "empty": True}, CredentialsRefused, "REALM"),
        ({"status": 200, "html": True}, IdentityUnavailable, "STACKSPOT_IDM_URL"),
        ({"status": 503, "empty": True}, IdentityUnavailable, "503"),
        ({"fault": "reset_before"}, IdentityUnavailable, "127.0.0.1"),
        ({"fault": "close_before"}, IdentityUnavailable, "127.0.0.1"),
    ],
    ids=["refused", "refused with a page", "no such realm", "a page", "down", "reset", "closed"],
)
def test_what_the_identity_service_does_becomes_an_error_of_ours(carry_out, transport, simulator, play, kind, said):
    simulator.script({"at": "token", **play})
    (error,) = carry_out(transport, failing(asking(simulator.url)))
    assert type(error) is kind
    assert said in error.message
    assert "simulator-secret" not in error.message
    assert simulator.state()["chat_requests"] == 0


DRIPS = [(b"HTTP/1.1 200 OK\r\nx: ", b"x"), (b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b"x")]


@pytest.mark.parametrize(("said", "drip"), DRIPS, ids=["headers", "body"])
def test_an_identity_service_that_drips_is_given_up(settings, served, monkeypatch, said, drip):
    monkeypatch.setattr("custom_handler.stackspot.client.TOKEN_TIMEOUT", 0.4)
    transport = StackspotClient(settings.changed(account={"idm_url": f"http://{served(said, drip).address}"}))
    with pytest.raises(IdentityUnavailable, match="cannot be reached"):
        transport.tokens.request().result(5)


def test_who_waits_for_a_token_waits_no_longer_than_the_turn_may_take(carry_out, transport, simulator):
    def waiting() -> Steps[Any]:
        yield AcquireToken(patience=0.2)

    simulator.script({"at": "token", "fault": "hang_headers"})
    (error,) = carry_out(transport, failing(waiting()))
    assert type(error) is IdentityUnavailable
    assert "no token within 0.2 s" in error.message


@pytest.mark.parametrize("url", ["http://[", "idm.example", "http://host:port"])
def test_an_identity_service_at_no_address_is_unavailable(settings, url):
    with pytest.raises(IdentityUnavailable, match="cannot be reached"):
        StackspotClient(settings.changed(account={"idm_url": url})).tokens.request().result(10)


def test_no_token_is_asked_for_without_credentials(settings, simulator):
    with pytest.raises(ConfigurationError, match="CLIENT_SECRET"):
        StackspotClient(settings.changed(account={"client_secret": ""})).tokens.request().result(10)
    assert simulator.state()["token_requests"] == 0


def test_a_secret_with_special_characters_arrives_as_it_is(settings, simulator):
    secret = "a&b=c+d%20 é/?#"
    simulator.configure(client_secret=secret)
    token = StackspotClient(settings.changed(account={"client_secret": secret})).tokens.request().result(10)
    assert token.value.count(".") == 2


def disconnected(simulator: Any) -> bool:
    return all(record["disconnected"] for record in simulator.requests("chat"))


def test_closing_the_iterator_hangs_up(transport, simulator, eventually):
    simulator.script({"text": "um dois", "fault": "stall"})
    batches = transport.drive(asking(simulator.url))
    assert next(batches)[0].status == 200
    assert not disconnected(simulator)
    batches.close()
    assert eventually(lambda: disconnected(simulator))


async def test_closing_the_async_iterator_hangs_up(transport, simulator, eventually):
    simulator.script({"text": "um dois", "fault": "stall"})
    batches = transport.adrive(asking(simulator.url))
    assert (await anext(batches))[0].status == 200
    await batches.aclose()
    assert eventually(lambda: disconnected(simulator))


@pytest.mark.parametrize("fault", ["stall", "hang_headers"])
async def test_cancelling_the_task_hangs_up(transport, simulator, eventually, fault):
    simulator.script({"text": "um dois", "fault": fault})

    async def read() -> None:
        async for _ in transport.adrive(asking(simulator.url)):
            pass

    reading = asyncio.create_task(read())
    await asyncio.to_thread(eventually, lambda: simulator.state()["open_streams"])
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert eventually(lambda: disconnected(simulator))


def test_a_loop_that_ends_takes_its_connections_with_it(transport, simulator):
    loops: list[weakref.ref[Any]] = []

    async def ask() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        async for _ in transport.adrive(asking(simulator.url)):
            pass

    for _ in range(3):
        asyncio.run(ask())
    gc.collect()
    assert [loop() for loop in loops] == [None] * 3


async def test_calls_of_one_loop_share_their_connections(transport, simulator):
    async def ask() -> int:
        head, *_ = [event async for events in transport.adrive(asking(simulator.url)) for event in events]
        return head.status

    assert await asyncio.gather(*(ask() for _ in range(20))) == [200] * 20
    assert simulator.state()["token_requests"] == 1


async def batches_of(*batches: Any, closed: list[bool] | None = None) -> AsyncGenerator[Sequence[Any], None]:
    try:
        for batch in batches:
            if isinstance(batch, Exception):
                raise batch
            if isinstance(batch, asyncio.Event):
                await batch.wait()
            else:
                yield batch
    finally:
        if closed is not None:
            closed.append(True)


async def rest_of(answer: StartedStream[Any]) -> list[Any]:
    return [batch async for batch in answer]


async def test_an_answer_that_has_begun_loses_nothing():
    go_on = asyncio.Event()
    answer = StartedStream(batches_of([1], go_on, [2], [3]))
    await answer.wait(10)
    assert await anext(answer) == [1]
    go_on.set()
    assert await rest_of(answer) == [[2], [3]]


async def test_what_arrives_before_the_first_reader_leaves_together():
    answer = StartedStream(batches_of([1], [2], [3]))
    await answer.wait(10)
    assert await rest_of(answer) == [[1, 2, 3]]


async def test_an_error_that_arrives_before_the_first_reader_comes_behind_what_came_before_it():
    answer = StartedStream(batches_of([1], [2], AgentFailed("no")))
    await answer.wait(10)
    assert await anext(answer) == [1, 2]
    with pytest.raises(AgentFailed):
        await anext(answer)


async def test_without_a_reader_only_so_much_is_read():
    answer = StartedStream(batches_of(*([number] for number in range(100))))
    await answer.wait(10)
    await asyncio.sleep(0.01)
    first, *rest = await rest_of(answer)
    assert (len(first), len(rest)) == (StartedStream.AHEAD, 100 - StartedStream.AHEAD)


async def test_an_answer_need_not_be_waited_for():
    assert await rest_of(StartedStream(batches_of([1], [2]))) == [[1], [2]]


async def test_what_fails_before_the_beginning_is_raised_by_the_wait():
    answer = StartedStream(batches_of(AgentFailed("no")))
    with pytest.raises(AgentFailed):
        await answer.wait(10)


async def test_a_slow_beginning_counts_as_opened_and_comes_later():
    begin = asyncio.Event()
    answer = StartedStream(batches_of(begin, [1], [2]))
    await answer.wait(0.01)
    begin.set()
    assert await rest_of(answer) == [[1], [2]]


async def test_an_error_after_a_slow_beginning_is_raised_by_the_reading():
    begin = asyncio.Event()
    answer = StartedStream(batches_of(begin, AgentFailed("no")))
    await answer.wait(0.01)
    begin.set()
    with pytest.raises(AgentFailed):
        await anext(answer)


async def test_who_leaves_while_waiting_hangs_up():
    closed: list[bool] = []
    answer = StartedStream(batches_of(asyncio.Event(), closed=closed))
    waiting = asyncio.create_task(answer.wait(10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert closed == [True]


async def test_who_leaves_before_the_first_events_hangs_up():
    closed: list[bool] = []
    answer = StartedStream(batches_of(asyncio.Event(), closed=closed))
    await answer.wait(0.01)
    await answer.aclose()
    assert closed == [True]


async def test_who_leaves_between_the_events_hangs_up():
    closed: list[bool] = []
    answer = StartedStream(batches_of([1], asyncio.Event(), closed=closed))
    await answer.wait(10)
    assert await anext(answer) == [1]
    await answer.aclose()
    assert closed == [True]


async def test_who_leaves_without_hearing_of_an_error_leaves_no_complaint_behind():
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    begin = asyncio.Event()
    answer = StartedStream(batches_of(begin, AgentFailed("no")))
    await answer.wait(0.01)
    begin.set()
    await asyncio.sleep(0.01)
    await answer.aclose()
    del answer
    gc.collect()
    assert complaints == []


async def test_who_is_cancelled_again_and_again_leaves_no_connection_behind(transport, simulator, eventually):
    simulator.script({"text": "um dois", "fault": "stall"})
    answer = StartedStream(transport.adrive(asking(simulator.url)))

    async def read() -> None:
        async for _ in answer:
            pass

    reading = asyncio.create_task(read())
    await asyncio.to_thread(
        eventually, lambda: simulator.requests("chat") and simulator.requests("chat")[0]["frames_sent"]
    )
    for _ in range(1000):
        reading.cancel()
        await asyncio.sleep(0)
    assert reading.cancelled()
    assert await asyncio.to_thread(eventually, lambda: disconnected(simulator))


async def test_what_is_still_open_at_the_end_of_a_request_is_hung_up():
    closed: list[bool] = []
    with close_abandoned_streams():
        finished = StartedStream(batches_of([1]))
        assert await rest_of(finished) == [[1]]
        abandoned = StartedStream(batches_of([1], asyncio.Event(), closed=closed))
        await abandoned.wait(10)
    assert closed == []  # what follows is the loop's
    await asyncio.sleep(0.01)
    assert closed == [True]


async def test_what_somebody_still_reads_at_the_end_of_a_request_is_left_to_him():
    begin = asyncio.Event()
    with close_abandoned_streams():
        answer = StartedStream(batches_of([1], begin, [2]))
        await answer.wait(10)
        reading = asyncio.create_task(rest_of(answer))
        await asyncio.sleep(0.01)
    begin.set()
    assert await reading == [[1], [2]]
