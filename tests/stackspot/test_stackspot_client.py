"""The steps carried out over a real network, for callers that block and for those that await."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import threading
import weakref
from collections.abc import AsyncGenerator, Sequence
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
from custom_handler.provider.started_stream import StartedStream
from custom_handler.request.context import RequestContext
from custom_handler.stackspot.agent_call import AcquireToken, Emit, Read, ResponseHead, Send, Steps
from custom_handler.stackspot.client import MAX_ERROR_BODY, MAX_TOKEN_BODY, StackspotClient
from tests.support.drivers import Drive, arun, run

AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture(params=[run, arun], ids=["blocking", "awaiting"])
def perform(request: pytest.FixtureRequest) -> Drive:
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


def test_a_response_arrives_in_its_pieces(perform, transport, simulator):
    simulator.script({"text": "um dois"})
    head, *chunks = perform(transport, asking(simulator.url))
    assert (head.status, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert b'data: {"message":" dois"}\n\n' in b"".join(chunks)


def test_an_error_response_arrives_with_its_body(perform, transport, simulator):
    simulator.script({"status": 429, "body": {"code": "LIMIT"}, "headers": {"Retry-After": "7"}})
    (head,) = perform(transport, asking(simulator.url))
    assert head == ResponseHead(429, head.headers, b'{"code":"LIMIT"}')
    assert head.headers["retry-after"] == "7"


def test_only_the_start_of_a_huge_error_response_is_read(perform, transport, simulator):
    simulator.script({"status": 500, "body": "x" * 5_000_000})
    head, *_ = perform(transport, asking(simulator.url))
    assert MAX_ERROR_BODY <= len(head.body) < 5_000_000


def test_a_call_can_be_repeated_after_an_error_response(perform, transport, simulator):
    def twice() -> Steps[Any]:
        token = yield AcquireToken()
        head = yield send(simulator.url, "wrong")
        yield Emit([head.status])
        head = yield send(simulator.url, token.value)
        yield Emit([head.status])
        while (yield Read(60.0)) is not None:
            pass

    assert perform(transport, twice()) == [401, 200]
    assert [record["status"] for record in simulator.requests("chat")] == [401, 200]


def test_a_rejected_token_is_replaced(perform, transport, simulator):
    def renewing() -> Steps[Any]:
        first = yield AcquireToken()
        again = yield AcquireToken()
        other = yield AcquireToken(rejected=first)
        yield Emit([again is first, other is first])

    assert perform(transport, renewing()) == [True, False]
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
def test_network_errors_are_translated(perform, transport, simulator, play, kind, said):
    simulator.script(play)
    *_, error = perform(transport, failing(asking(simulator.url, timeout=1)))
    assert type(error) is kind
    assert said in error.message


def test_a_port_without_a_server_is_unreachable(perform, transport, closed_port):
    (error,) = perform(transport, failing(asking(f"http://127.0.0.1:{closed_port}")))
    assert type(error) is AgentUnreachable
    assert "127.0.0.1" in error.message


@pytest.mark.parametrize("url", ["http://[", "genai.example", "http://host:port", "ftp://host", "http://a\x00b"])
def test_a_malformed_url_is_unreachable(perform, transport, url):
    (error,) = perform(transport, failing(asking(url)))
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


def test_a_proxy_that_rejects_its_credentials_is_not_retried(perform, transport, served, monkeypatch):
    def sending() -> Steps[Any]:
        yield send("https://agent.invalid", "token")

    proxy = served(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
    monkeypatch.setenv("https_proxy", f"http://operator:proxy-password@{proxy.address}")
    monkeypatch.setenv("no_proxy", "")
    (error,) = perform(transport, failing(sending()))
    assert (type(error), error.retryable) == (AgentUnreachable, False)
    assert "407" in error.message
    assert "HTTPS_PROXY" in error.message
    assert "password" not in error.message


DRIPPING_HEADERS = b"HTTP/1.1 200 OK\r\nx: "
DRIPPING_REFUSAL = b"HTTP/1.1 500 Error\r\ncontent-length: 9999\r\n\r\n"


@pytest.mark.parametrize("said", [DRIPPING_HEADERS, DRIPPING_REFUSAL], ids=["headers", "a refusal"])
def test_an_agent_with_slow_headers_times_out(perform, transport, served, said):
    agent = served(said, b"x")

    def sending() -> Steps[Any]:
        yield send(f"http://{agent.address}", "token", 0.5)

    (error,) = perform(transport, failing(sending()))
    assert type(error) is AgentTimeout
    assert "sent nothing for 0.5 s" in error.message


def test_a_read_may_take_less_time_than_its_request(perform, transport, simulator):
    def reading() -> Steps[Any]:
        token = yield AcquireToken()
        yield send(simulator.url, token.value, 60)
        while (yield Read(0.2)) is not None:
            pass

    simulator.script({"text": "um dois", "fault": "stall"})
    (error,) = perform(transport, failing(reading()))
    assert type(error) is AgentTimeout
    assert "sent nothing for 0.2 s" in error.message


async def batches_until_error(transport: StackspotClient, steps: Steps[Any]) -> list[Any]:
    batches: list[Any] = []
    try:
        async for events in transport.arun(steps):
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


async def test_an_end_that_arrived_joins_the_text_before_it(transport, simulator):
    simulator.script({"status": 200, "body": {"message": "Olá"}})
    [[chunk, end]] = await batches_until_error(transport, ending(simulator.url, None))
    assert (json.loads(chunk)["message"], end) == ("Olá", "end")


async def test_an_error_at_the_end_follows_the_text_before_it(transport, simulator):
    simulator.script({"status": 200, "body": {"message": "Olá"}})
    [[chunk], error] = await batches_until_error(transport, ending(simulator.url, failure := AgentFailed("no")))
    assert (json.loads(chunk)["message"], error) == ("Olá", failure)


def test_an_error_that_the_steps_do_not_handle_is_raised(perform, transport, closed_port):
    with pytest.raises(AgentUnreachable):
        perform(transport, asking(f"http://127.0.0.1:{closed_port}"))


@pytest.mark.parametrize(
    ("play", "kind", "said"),
    [
        ({"status": 401, "body": {"error": "unauthorized_client"}}, CredentialsRefused, "CLIENT_SECRET"),
        ({"status": 401, "html": True}, CredentialsRefused, "CLIENT_SECRET"),
        ({"status": 404, "empty": True}, CredentialsRefused, "REALM"),
        ({"status": 200, "html": True}, IdentityUnavailable, "STACKSPOT_IDM_URL"),
        ({"status": 503, "empty": True}, IdentityUnavailable, "503"),
        ({"status": 200, "body": "[" * 100_000}, IdentityUnavailable, "gave no token"),
        ({"status": 200, "body": {"access_token": "a" * MAX_TOKEN_BODY}}, IdentityUnavailable, "gave no token"),
        ({"fault": "reset_before"}, IdentityUnavailable, "127.0.0.1"),
        ({"fault": "close_before"}, IdentityUnavailable, "127.0.0.1"),
    ],
    ids=[
        "refused",
        "refused with a page",
        "no such realm",
        "a page",
        "brackets",
        "too large",
        "down",
        "reset",
        "closed",
    ],
)
def test_errors_of_the_identity_service_are_translated(perform, transport, simulator, play, kind, said):
    simulator.script({"at": "token", **play})
    (error,) = perform(transport, failing(asking(simulator.url)))
    assert type(error) is kind
    assert said in error.message
    assert "simulator-secret" not in error.message
    assert simulator.state()["chat_requests"] == 0


DRIPS = [(b"HTTP/1.1 200 OK\r\nx: ", b"x"), (b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b"x")]


@pytest.mark.parametrize(("said", "drip"), DRIPS, ids=["headers", "body"])
def test_a_slow_identity_service_times_out(settings, served, monkeypatch, said, drip):
    monkeypatch.setattr("custom_handler.stackspot.client.TOKEN_TIMEOUT", 0.4)
    transport = StackspotClient(settings.changed(account={"idm_url": f"http://{served(said, drip).address}"}))
    with pytest.raises(IdentityUnavailable, match="cannot be reached"):
        transport.tokens.request().result(5)


def test_waiting_for_a_token_ends_with_the_deadline(perform, settings, served):
    def waiting() -> Steps[Any]:
        yield AcquireToken(timeout=0.2)

    # Not the simulator: on a slow machine the request would come when the next test uses it.
    identity = served(DRIPPING_HEADERS, b"x")
    transport = StackspotClient(settings.changed(account={"idm_url": f"http://{identity.address}"}))
    (error,) = perform(transport, failing(waiting()))
    assert type(error) is IdentityUnavailable
    assert "no token within 0.2 s" in error.message


@pytest.mark.parametrize("url", ["http://[", "idm.example", "http://host:port"])
def test_a_malformed_identity_url_is_unavailable(settings, url):
    with pytest.raises(IdentityUnavailable, match="cannot be reached"):
        StackspotClient(settings.changed(account={"idm_url": url})).tokens.request().result(10)


def test_no_token_is_requested_without_credentials(settings, simulator):
    with pytest.raises(ConfigurationError, match="CLIENT_SECRET"):
        StackspotClient(settings.changed(account={"client_secret": ""})).tokens.request().result(10)
    assert simulator.state()["token_requests"] == 0


def test_a_secret_with_special_characters_arrives_unchanged(settings, simulator):
    secret = "a&b=c+d%20 é/?#"
    simulator.configure(client_secret=secret)
    token = StackspotClient(settings.changed(account={"client_secret": secret})).tokens.request().result(10)
    assert token.value.count(".") == 2


def disconnected(simulator: Any) -> bool:
    return all(record["disconnected"] for record in simulator.requests("chat"))


def test_closing_the_iterator_closes_the_connection(transport, simulator, eventually):
    simulator.script({"text": "um dois", "fault": "stall"})
    batches = transport.run(asking(simulator.url))
    assert next(batches)[0].status == 200
    assert not disconnected(simulator)
    batches.close()
    assert eventually(lambda: disconnected(simulator))


async def test_closing_the_async_iterator_closes_the_connection(transport, simulator, eventually):
    simulator.script({"text": "um dois", "fault": "stall"})
    batches = transport.arun(asking(simulator.url))
    assert (await anext(batches))[0].status == 200
    await batches.aclose()
    assert eventually(lambda: disconnected(simulator))


@pytest.mark.parametrize("fault", ["stall", "hang_headers"])
async def test_cancelling_the_task_closes_the_connection(transport, simulator, eventually, fault):
    simulator.script({"text": "um dois", "fault": fault})

    async def read() -> None:
        async for _ in transport.arun(asking(simulator.url)):
            pass

    reading = asyncio.create_task(read())
    await asyncio.to_thread(eventually, lambda: simulator.state()["open_streams"])
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert eventually(lambda: disconnected(simulator))


def test_a_loop_closes_its_connections_at_its_end(transport, simulator):
    loops: list[weakref.ref[Any]] = []

    async def ask() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        async for _ in transport.arun(asking(simulator.url)):
            pass

    for _ in range(3):
        asyncio.run(ask())
    gc.collect()
    assert [loop() for loop in loops] == [None] * 3


async def test_calls_of_one_loop_share_their_connections(transport, simulator):
    async def ask() -> int:
        head, *_ = [event async for events in transport.arun(asking(simulator.url)) for event in events]
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


async def test_a_started_stream_loses_nothing():
    go_on = asyncio.Event()
    answer = StartedStream(batches_of([1], go_on, [2], [3]))
    await answer.wait(10)
    assert await anext(answer) == [1]
    go_on.set()
    assert await rest_of(answer) == [[2], [3]]


async def test_events_before_the_first_reader_are_one_batch():
    answer = StartedStream(batches_of([1], [2], [3]))
    await answer.wait(10)
    assert await rest_of(answer) == [[1, 2, 3]]


async def test_an_error_before_the_first_reader_follows_the_events():
    answer = StartedStream(batches_of([1], [2], AgentFailed("no")))
    await answer.wait(10)
    assert await anext(answer) == [1, 2]
    with pytest.raises(AgentFailed):
        await anext(answer)


async def test_without_a_reader_a_limited_number_is_read():
    answer = StartedStream(batches_of(*([number] for number in range(100))))
    await answer.wait(10)
    await asyncio.sleep(0.01)
    first, *rest = await rest_of(answer)
    assert (len(first), len(rest)) == (StartedStream.AHEAD, 100 - StartedStream.AHEAD)


async def test_wait_is_optional():
    assert await rest_of(StartedStream(batches_of([1], [2]))) == [[1], [2]]


async def test_an_error_before_the_first_events_is_raised_by_wait():
    answer = StartedStream(batches_of(AgentFailed("no")))
    with pytest.raises(AgentFailed):
        await answer.wait(10)


async def test_a_slow_start_counts_as_started():
    begin = asyncio.Event()
    answer = StartedStream(batches_of(begin, [1], [2]))
    await answer.wait(0.01)
    begin.set()
    assert await rest_of(answer) == [[1], [2]]


async def test_an_error_after_a_slow_start_is_raised_to_the_reader():
    begin = asyncio.Event()
    answer = StartedStream(batches_of(begin, AgentFailed("no")))
    await answer.wait(0.01)
    begin.set()
    with pytest.raises(AgentFailed):
        await anext(answer)


async def test_a_cancelled_wait_closes_the_connection():
    closed: list[bool] = []
    answer = StartedStream(batches_of(asyncio.Event(), closed=closed))
    waiting = asyncio.create_task(answer.wait(10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert closed == [True]


async def test_closing_before_the_first_events_closes_the_connection():
    closed: list[bool] = []
    answer = StartedStream(batches_of(asyncio.Event(), closed=closed))
    await answer.wait(0.01)
    await answer.aclose()
    assert closed == [True]


async def test_closing_between_events_closes_the_connection():
    closed: list[bool] = []
    answer = StartedStream(batches_of([1], asyncio.Event(), closed=closed))
    await answer.wait(10)
    assert await anext(answer) == [1]
    await answer.aclose()
    assert closed == [True]


async def test_an_error_that_is_never_read_logs_nothing():
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


async def test_repeated_cancellation_leaves_no_connection_open(transport, simulator, eventually):
    simulator.script({"text": "um dois", "fault": "stall"})
    answer = StartedStream(transport.arun(asking(simulator.url)))

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


async def test_a_stream_open_at_the_end_of_a_request_is_closed():
    closed: list[bool] = []
    with RequestContext({}).served() as request:
        finished = StartedStream(batches_of([1]))
        assert await rest_of(finished) == [[1]]
        abandoned = StartedStream(batches_of([1], asyncio.Event(), closed=closed))
        await abandoned.wait(10)
    request.abandon_unfinished()
    assert closed == []  # what follows is the loop's
    await asyncio.sleep(0.01)
    assert closed == [True]


async def test_a_stream_with_a_reader_is_not_closed_at_the_end_of_a_request():
    begin = asyncio.Event()
    with RequestContext({}).served() as request:
        answer = StartedStream(batches_of([1], begin, [2]))
        await answer.wait(10)
        reading = asyncio.create_task(rest_of(answer))
        await asyncio.sleep(0.01)
    request.abandon_unfinished()
    begin.set()
    assert await reading == [[1], [2]]
