"""Blocking calls on their loop's thread: interrupts, forks, many threads, and how the loop ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from custom_handler import StackspotLLM
from custom_handler.stackspot.http.loop_thread import LoopThread

MODEL = "stackspot-chat"
STALL = {"text": "um dois", "fault": "stall"}
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
THREADED_FORK = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "stackspot-loop"}


def ask(provider: StackspotLLM, content: str = "Olá") -> str:
    return provider.completion(MODEL, [{"role": "user", "content": content}]).choices[0].message.content


def streamed(provider: StackspotLLM, content: str = "Olá") -> Any:
    return provider.streaming(MODEL, [{"role": "user", "content": content}])


def hung_up(simulator: Any) -> bool:
    records = simulator.requests("chat")
    return bool(records) and records[0]["disconnected"]


def test_only_a_blocking_call_starts_the_thread(provider, hello):
    before = threads()
    asyncio.run(provider.acompletion(MODEL, hello))
    assert threads() == before
    ask(provider)
    ask(provider)
    assert len(threads() - before) == 1


@pytest.mark.parametrize("method", [ask, lambda provider: list(streamed(provider))], ids=["whole", "streamed"])
@pytest.mark.parametrize("play", [STALL, {"fault": "hang_headers"}], ids=["within the answer", "before it"])
def test_an_interrupt_closes_the_connection_and_the_next_call_works(provider, simulator, eventually, method, play):
    simulator.script(play, {"text": "depois"})

    def interrupt() -> None:
        eventually(lambda: simulator.requests("chat"))
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        method(provider)
    interrupter.join()
    assert eventually(lambda: hung_up(simulator))
    assert ask(provider) == "depois"


def test_an_interrupted_call_frees_its_slot(settings, simulator, eventually):
    provider = StackspotLLM(settings.changed(limits={"max_concurrency": 1}))
    test_an_interrupt_closes_the_connection_and_the_next_call_works(provider, simulator, eventually, ask, STALL)


def test_a_stream_closed_early_closes_its_connection(provider, simulator, eventually):
    simulator.script(STALL)
    stream = streamed(provider)
    next(stream)
    assert not hung_up(simulator)
    stream.close()
    assert eventually(lambda: hung_up(simulator), 1)
    assert simulator.state()["open_streams"] == 0


def test_a_dropped_stream_closes_its_connection(provider, simulator, eventually):
    simulator.script(STALL)
    next(streamed(provider))
    gc.collect()
    assert eventually(lambda: hung_up(simulator))


def test_a_stream_that_is_never_read_sends_no_request(provider, simulator):
    streamed(provider).close()
    assert simulator.requests("chat") == []


def test_many_threads_share_one_loop_and_get_their_own_answers(provider, simulator):
    numbers = range(60)
    simulator.script(*({"match": f"number {n}.", "text": f"answer {n}"} for n in numbers))
    before = threads()

    def one(number: int) -> str:
        question = f"This is number {number}."
        if number % 2:
            return ask(provider, question)
        return "".join(chunk.choices[0].delta.content or "" for chunk in streamed(provider, question))

    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(one, numbers)) == [f"answer {n}" for n in numbers]
    assert len(threads() - before) == 1
    assert simulator.state()["token_requests"] == 1


def test_a_dropped_provider_ends_its_thread_and_connections(settings, simulator):
    before = threads()
    provider = StackspotLLM(settings)
    ask(provider)
    [thread] = threads() - before
    gone = weakref.ref(provider.accounts["default"].client)
    sessions = [client._session for client, _ in provider.accounts["default"].client._clients.values()]
    assert [session.closed for session in sessions] == [False]
    del provider
    gc.collect()
    assert gone() is None
    assert [session.closed for session in sessions] == [True]
    assert not thread.is_alive()


def test_a_garbage_collected_provider_closes_its_sessions(settings):
    provider = StackspotLLM(settings)
    ask(provider)
    session = next(iter(provider.accounts["default"].client._clients.values()))[0]._session
    provider.accounts["default"].client.cycle = provider  # type: ignore[attr-defined]  # as a program may do: no reference that goes frees it
    del provider
    assert not session.closed
    gc.collect()
    assert session.closed


def test_an_open_stream_keeps_the_loop(settings, simulator):
    provider = StackspotLLM(settings)
    simulator.script({"text": "um dois"})
    stream = streamed(provider)
    said = next(stream).choices[0].delta.content
    del provider
    gc.collect()
    assert said + "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "um dois"


def test_a_blocking_call_on_the_loop_itself_is_an_error():
    loop = LoopThread()

    async def nested() -> None:
        loop.run(asyncio.get_running_loop().shutdown_asyncgens)

    with pytest.raises(RuntimeError, match="await the asynchronous method"):
        loop.run(nested)


def test_an_iterator_freed_on_the_loop_itself_does_not_wait_for_it(eventually):
    loop, closed = LoopThread(), threading.Event()

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            closed.set()

    holder = [loop.iterate(numbers())]
    assert next(holder[0]) == 1

    async def free() -> None:
        holder.clear()

    loop.run(free)
    assert eventually(closed.is_set)


def test_a_call_has_the_context_variables_of_its_caller(settings):
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable", default="")
    variable.set("the caller's")
    seen = []

    async def look() -> None:
        seen.append(variable.get())

    LoopThread().run(look)
    assert seen == ["the caller's"]


@pytest.mark.slow
@FORKS
@THREADED_FORK
def test_a_child_process_leaves_the_parents_stream_and_loop_alone(provider, simulator):
    simulator.script({"text": "um dois tres", "cadence": 0.05}, {"text": "filho"}, {"text": "depois"})
    stream = streamed(provider)
    said = next(stream).choices[0].delta.content
    child = os.fork()
    if child == 0:
        status = 1
        try:
            stream.close()
            gc.collect()
            status = 0 if ask(provider) == "filho" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert said + "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "um dois tres"
    assert ask(provider) == "depois"


async def counting() -> AsyncGenerator[int, None]:
    for number in range(1_000_000):
        await asyncio.sleep(0)
        yield number


def test_the_end_of_the_loop_ends_waiting_threads_quietly():
    for _ in range(100):  # what a thread does when the loop ends differs from one to the next
        loop, begun, ends = LoopThread(), threading.Event(), []

        def read(loop: LoopThread = loop, begun: threading.Event = begun, ends: list[type] = ends) -> None:
            try:
                for _ in loop.iterate(counting()):
                    begun.set()
            except BaseException as error:  # noqa: BLE001  it is looked at below
                ends.append(type(error))

        reader = threading.Thread(target=read)
        reader.start()
        begun.wait()
        loop._loop.stop(None)
        reader.join()
        assert ends == [SystemExit]


PROGRAM = """
import os, sys, threading, time
import httpx
sys.unraisablehook = lambda fault: (print("unraisable", fault, file=sys.stderr), os._exit(9))
from custom_handler import StackspotLLM
from custom_handler.settings import AccountSettings, LimitSettings, Settings
account = AccountSettings(
    client_id="simulator", client_secret="simulator-secret", realm="simulator", agent_id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
    idm_url={url!r}, inference_url={url!r})
provider = StackspotLLM(Settings(account=account, limits=LimitSettings(requests_per_minute=0, max_retries=0)))
HELLO = [{{"role": "user", "content": "Olá"}}]
"""

EXITS = {
    "an open stream": "stream = provider.streaming('m', HELLO); print(next(stream).choices[0].delta.content)",
    "an open stream, sys.exit": (
        "stream = provider.streaming('m', HELLO); print(next(stream).choices[0].delta.content); sys.exit()"
    ),
    "an open stream in a daemon's frame": """
said = threading.Event()
def read():
    for chunk in provider.streaming('m', HELLO):
        print(chunk.choices[0].delta.content)
        said.set()
threading.Thread(target=read, daemon=True).start()
said.wait()
""",
    "a daemon that waits for a whole answer": """
threading.Thread(target=provider.completion, args=('m', HELLO), daemon=True).start()
state = f'{provider.settings.account.inference_url}/control/state'
while not httpx.get(state, trust_env=False).json()['open_streams']: time.sleep(0.01)
print('um')
""",
}


def run(simulator: Any, body: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(url=simulator.url) + body
    command = [sys.executable, "-W", "error::ResourceWarning", "-W", "error::RuntimeWarning", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("body", EXITS.values(), ids=EXITS.keys())
def test_an_exit_closes_the_connection_without_a_traceback(settings, simulator, eventually, body):
    simulator.script(STALL)
    done = run(simulator, body)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "um", "")
    assert eventually(lambda: hung_up(simulator))


@pytest.mark.slow
def test_a_thread_that_outlives_the_main_one_can_call(settings, simulator):
    body = """
url = provider.settings.account.inference_url.replace('127.0.0.1', 'localhost')
provider = StackspotLLM(provider.settings.changed(account={"inference_url": url}))
provider.authenticate()
def late():
    threading.main_thread().join()
    print(provider.completion('m', HELLO).choices[0].message.content)
threading.Thread(target=late).start()
"""
    simulator.script({"text": "um"})
    done = run(simulator, body)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "um", "")


FORKING_PROGRAM = """
def ask(): return provider.completion('m', HELLO).choices[0].message.content
assert ask() == 'um'
if (child := os.fork()) == 0:
    assert ask() == 'um'
    sys.exit()  # the interpreter of the child frees what it holds
assert os.waitpid(child, 0)[1] == 0
assert ask() == 'um'
assert ask() == 'um'
print('um')
"""


@pytest.mark.slow
@FORKS
def test_an_exiting_child_leaves_the_parents_idle_connections_alone(settings, simulator):
    simulator.script(*[{"text": "um"}] * 4)
    done = run(simulator, FORKING_PROGRAM)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "um", "")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Free what a test left, so that none counts another's threads."""
    yield
    gc.collect()
