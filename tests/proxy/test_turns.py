"""Requests that arrive together start one by one, each API key in its turn."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from custom_handler.proxy.asgi_transport import INTERNAL_CALL
from custom_handler.proxy.middleware.turns import MAX_KNOWN, Turns
from custom_handler.proxy.middleware.wrap import ProxyWrapper


def scope(key: str, path: str = "/v1/chat/completions", header: str = "authorization", **more: Any) -> dict[str, Any]:
    headers = [(b"host", b"a"), (header.encode(), key.encode())] if key else []
    return {"type": "http", "path": path, "headers": headers, "client": ("127.0.0.1", 7), **more}


def served(key: str, **more: Any) -> dict[str, Any]:
    """Return the scope of a request that the proxy has authenticated."""
    principal = SimpleNamespace(source_key=SimpleNamespace(token=f"hash of {key}"))
    return scope(key, **more) | {"state": {"principal": principal}}


class Loop:
    """Requests of several keys, with the iteration of the event loop in which each has started."""

    def __init__(self, known: str = "abcdeh") -> None:
        self.turns = Turns()
        for key in known:
            self.turns.note(served(key))
        self.iteration = 0
        self.started: list[tuple[str, int]] = []

    async def request(self, name: str, scope: dict[str, Any]) -> None:
        await self.turns.wait(scope)
        self.started.append((name, self.iteration))

    async def run(self, tasks: list[asyncio.Task[None]]) -> None:
        while not all(task.done() for task in tasks):
            self.iteration += 1
            await asyncio.sleep(0)

    @property
    def names(self) -> str:
        return "".join(name for name, _ in self.started)


def tasks_of(loop: Loop, names: str, **more: Any) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(loop.request(name, scope(name, **more))) for name in names]


async def test_one_request_starts_in_an_iteration():
    loop = Loop()
    await loop.run(tasks_of(loop, "a" * 50))
    iterations = [iteration for _, iteration in loop.started]
    assert len(iterations) == len(set(iterations)) == 50


async def test_a_request_that_is_alone_starts_at_once():
    loop = Loop()
    for _ in range(3):
        coroutine = loop.turns.wait(scope("a"))
        with pytest.raises(StopIteration):
            coroutine.send(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.mark.parametrize("header", ["authorization", "x-litellm-api-key", "x-api-key", "api-key", "x-goog-api-key"])
async def test_keys_take_turns(header):
    loop = Loop()
    await loop.run(tasks_of(loop, "a" * 20 + "bbc", header=header))
    assert loop.names == "aabcab" + "a" * 17


async def test_other_headers_and_spellings_of_a_key_give_no_further_turns():
    loop = Loop()
    headers = [
        [(b"x-api-key", b"a")],
        [(b"authorization", b"Bearer a")],
        [(b"api-key", b"other"), (b"authorization", b"bearer a")],
        [(b"authorization", b"other"), (b"x-litellm-api-key", b"a")],
    ]
    first = asyncio.create_task(loop.request("0", scope("0")))
    tasks = [asyncio.create_task(loop.request("a", scope("") | {"headers": one})) for one in headers]
    last = asyncio.create_task(loop.request("b", scope("b")))
    await loop.run([first, *tasks, last])
    assert loop.names == "0abaaa"


async def test_keys_that_the_proxy_does_not_know_take_turns_by_their_address():
    loop = Loop(known="b")
    names = [f"wrong {number}" for number in range(20)]
    tasks = [asyncio.create_task(loop.request("w", scope(name))) for name in names]
    tasks += tasks_of(loop, "bb")
    tasks.append(asyncio.create_task(loop.request("n", scope("new", client=("10.0.0.9", 1)))))
    await loop.run(tasks)
    assert loop.names == "wwbnwb" + "w" * 17


async def test_a_key_is_known_once_the_proxy_has_authenticated_it():
    async def app(scope: dict[str, Any], *_: Any) -> None:
        if scope["headers"][1][1] == b"a":
            scope["state"] = served("a")["state"]

    async def message(*_: Any) -> dict[str, Any]:
        return {"type": "http.request"}

    wrapper, loop = ProxyWrapper(app), Loop(known="")
    loop.turns = wrapper._turns
    for key in "ab":
        await wrapper(scope(key), message, message)
        await asyncio.sleep(0)
    await loop.run(tasks_of(loop, "bbbbca"))
    assert loop.names == "bbabbc", "the proxy has refused b, and does not know c"


async def test_a_limited_number_of_keys_is_remembered():
    loop = Loop(known="")
    for number in range(MAX_KNOWN + 1):
        loop.turns.note(served(f"k{number}"))
    assert len(loop.turns._known) == MAX_KNOWN


async def test_the_ipv6_addresses_of_a_network_take_turns_together():
    loop = Loop(known="")
    clients = {"2001:db8::1": "s", "2001:db8::2": "s", "2001:db8:0:0:7::1": "s", "2001:db8:0:1::1": "o"}
    tasks = [asyncio.create_task(loop.request(name, scope("", client=(host, 1)))) for host, name in clients.items()]
    await loop.run(tasks)
    assert loop.names == "ssos"


async def test_clients_without_a_key_take_turns_by_their_address():
    loop = Loop()
    addresses = ["10.0.0.1"] * 4 + ["10.0.0.2", None]
    await loop.run(
        [
            asyncio.create_task(loop.request(str(address)[-1], scope("", client=address and (address, 1))))
            for address in addresses
        ]
    )
    assert loop.names == "112e11"


async def test_a_client_that_leaves_takes_no_turn():
    loop = Loop()
    tasks = tasks_of(loop, "abcd")
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[2].cancel()
    await loop.run(tasks)
    assert loop.names == "ad"
    await loop.run(tasks_of(loop, "e"))
    assert loop.names == "ade"


@pytest.mark.parametrize(
    "exempt",
    [
        scope("h", "/health/liveliness"),
        scope("h", "/root/health/readiness"),
        scope("h", **{INTERNAL_CALL: True}),
    ],
)
async def test_health_probes_and_calls_of_services_do_not_wait(exempt):
    loop = Loop()
    tasks = [*tasks_of(loop, "aaaa"), asyncio.create_task(loop.request("h", exempt))]
    await loop.run(tasks)
    assert loop.names.index("h") == 1


async def test_reports_of_health_wait_because_they_call_the_models():
    loop = Loop()
    tasks = [*tasks_of(loop, "aaaa"), asyncio.create_task(loop.request("h", scope("h", "/health")))]
    await loop.run(tasks)
    assert len({iteration for _, iteration in loop.started}) == 5


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_the_proxy_is_called_once_in_an_iteration(kind):
    iteration, calls = 0, []

    async def app(*_: Any) -> None:
        calls.append(iteration)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(_: Any) -> None:
        return None

    wrapper = ProxyWrapper(app)
    tasks = [asyncio.create_task(wrapper(scope("a") | {"type": kind}, receive, send)) for _ in range(20)]
    while not all(task.done() for task in tasks):
        iteration += 1
        await asyncio.sleep(0)
    assert len(calls) == len(set(calls)) == 20
