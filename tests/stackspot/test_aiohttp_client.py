"""HTTP on an event loop: what has arrived is taken together, and what nobody takes is not read on."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from custom_handler.stackspot.http.aiohttp_client import BUFFER, HttpClient, HttpResponse

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nX-Name: Value\r\n\r\n"
TIMEOUT = httpx.Timeout(5)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def unnoted() -> None: ...


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    made = HttpClient(ssl.create_default_context())
    yield made
    await made.aclose()


@pytest.fixture
async def asked(http) -> AsyncIterator[Callable[[Serve], Awaitable[HttpResponse]]]:
    """Asks a server that reads the request's head and goes on as it is told."""
    servers: list[asyncio.Server] = []

    async def ask(serve: Serve) -> HttpResponse:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                await serve(reader, writer)
            except ConnectionError:
                pass
            finally:
                writer.close()

        servers.append(await asyncio.start_server(answer, "127.0.0.1", 0))
        port = servers[-1].sockets[0].getsockname()[1]
        return await http.send("POST", f"http://127.0.0.1:{port}/", {}, b"", TIMEOUT, note_sent=unnoted)

    yield ask
    for server in servers:
        server.close()


async def test_a_read_returns_everything_that_arrived(asked):
    written = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"".join(chunk(b"%02d" % number) for number in range(100)) + chunk(b""))
        await writer.drain()
        written.set()

    answer = await asked(serve)
    await written.wait()
    assert (answer.status, answer.headers["x-name"]) == (200, "Value")
    assert await answer.read() == b"".join(b"%02d" % number for number in range(100))
    assert await answer.read() is None


async def test_a_read_returns_a_lone_piece_at_once(asked):
    taken = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(3):
            writer.write((b"" if number else HEAD) + chunk(b"%d" % number))
            await taken.wait()
            taken.clear()

    answer = await asked(serve)
    for number in range(3):
        assert await answer.read() == b"%d" % number
        taken.set()
    await answer.aclose()


async def test_the_socket_is_not_read_while_the_buffer_is_full(asked):
    sent = 0
    blocked = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD)
        for _number in range(1000):
            writer.write(chunk(b"x" * 100_000))
            sent += 100_000
            _done, waiting = await asyncio.wait({asyncio.ensure_future(writer.drain())}, timeout=0.5)
            if waiting:
                blocked.set()
                await asyncio.wait(waiting)
        writer.write(chunk(b""))

    answer = await asked(serve)
    await asyncio.wait_for(blocked.wait(), 60)
    assert sent < 50_000_000
    held = await answer.read()
    assert held is not None
    assert len(held) <= 2 * BUFFER + 256 * 1024  # and what one read of the socket may add
    read = len(held)
    while (piece := await answer.read()) is not None:
        read += len(piece)
    assert read == 100_000_000


async def test_closing_the_response_closes_the_connection(asked):
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"x"))
        assert await reader.read() == b""
        closed.set()

    answer = await asked(serve)
    await answer.aclose()
    await asyncio.wait_for(closed.wait(), 60)


async def test_no_cookie_is_sent_with_the_next_call(http):
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(HEAD.replace(b"X-Name: Value", b"Connection: close") + chunk(b""))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://localhost:{server.sockets[0].getsockname()[1]}/"
        for _ in range(2):
            assert await (await http.send("POST", url, {}, b"", TIMEOUT, note_sent=unnoted)).read() is None
    assert [b"cookie" in head.lower() for head in seen] == [False, False]


async def test_the_agent_is_called_through_the_environments_proxy(http, monkeypatch):
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n"))
        writer.write(HEAD + chunk(b""))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        assert (await http.send("POST", "http://agent.invalid/chat", {}, b"", TIMEOUT, note_sent=unnoted)).status == 200
    assert seen == [b"POST http://agent.invalid/chat HTTP/1.1\r\n"]
