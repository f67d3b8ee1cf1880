"""A proxy in bad weather: clients that leave, agents that are silent or fail, and an end in the middle of an answer.

It has one place only, so that a place that was not freed would be missed by the next call.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.processes import ROOT
from tests.support.protocols import PATHS, body
from tests.support.proxy import Proxy, Simulator, running_proxy
from tests.support.waiting import eventually

STALL = {"pieces": ["Era uma vez", " fim"], "fault": "stall", "after": 1}


@pytest.fixture(scope="module")
def one_slot_proxy(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("survival")
    text = (ROOT / "config.yaml").read_text()
    seconds = "sse_keepalive_ping_interval_seconds: 1\n  anthropic_sse_ping_interval_seconds: 1"
    text, replaced = re.subn(r"sse_keepalive_ping_interval_seconds: 15", seconds, text)
    assert replaced == 1
    # The plugin tries again by itself, and what it gave up is not tried once more by the proxy.
    text, replaced = re.subn(r"num_retries: 0", "num_retries: 2", text)
    assert replaced == 1
    (folder / "config.yaml").write_text(text)
    environ = simulator_process.environ | {"STACKSPOT_MAX_CONCURRENCY": "1", "STACKSPOT_MAX_RETRIES": "1"}
    with running_proxy(folder / "log", str(folder / "config.yaml"), **environ) as running:
        yield running


def leave_in_the_middle(one_slot_proxy: Proxy, simulator: Simulator, path: str, *, stream: bool) -> float:
    """Ask, and leave when the agent has begun to speak; returns the moment of leaving."""
    with contextlib.closing(http.client.HTTPConnection(one_slot_proxy.url.removeprefix("http://"))) as connection:
        content = json.dumps(body(path, "Conte", stream=stream))
        connection.request("POST", path, content, one_slot_proxy.headers | {"Content-Type": "application/json"})
        eventually(lambda: any(record["frames_sent"] for record in simulator.requests()))
    return time.time()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_client_that_leaves_ends_the_agents_answer_and_frees_its_place(
    one_slot_proxy: Proxy, simulator: Simulator, path: str, stream: bool
) -> None:
    simulator.script(STALL)
    left = leave_in_the_middle(one_slot_proxy, simulator, path, stream=stream)
    (record,) = eventually(lambda: [record for record in simulator.requests() if record["ended"]])
    assert record["disconnected"]
    print(f"\n{path} {'streamed' if stream else 'whole'}: hung up {record['ended'] - left:.3f} s after the client")
    assert one_slot_proxy.post(path, body(path, "Oi", stream=stream)).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_while_the_agent_is_silent_the_client_hears_a_ping(
    one_slot_proxy: Proxy, simulator: Simulator, path: str
) -> None:
    simulator.script({"pieces": ["Era uma vez", " fim"], "delay_first": 1.6, "cadence": 1.6})
    answer = one_slot_proxy.post(path, body(path, "Conte", stream=True))
    before, _, after = answer.text.partition("Era uma vez")
    assert (answer.status_code, " fim" in after) == (200, True)
    print(f"\n{path}: pings before the text {before.count('ping')}, within {after.count('ping')}")
    assert "ping" in before
    assert "ping" in after


def test_while_a_call_is_held_the_client_hears_a_ping(one_slot_proxy: Proxy, simulator: Simulator) -> None:
    pieces = ["Vou ver.\nFUNCTION_CALL_START\nler\narguments: {", '"arquivo": "a.txt"}', "\nFUNCTION_CALL_END"]
    simulator.script({"pieces": pieces, "delay_first": 0, "cadence": 1.6})
    tools = [{"type": "function", "function": {"name": "ler", "parameters": {"type": "object"}}}]
    answer = one_slot_proxy.post(PATHS[0], {**body(PATHS[0], "Leia", stream=True), "tools": tools})
    _, _, after = answer.text.partition("Vou ver.")
    held, _, _ = after.partition("arquivo")
    print(f"\npings within the call: {held.count('ping')}")
    assert (answer.status_code, "arquivo" in after) == (200, True)
    assert "ping" in held


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_failure_that_passes_is_not_seen_by_the_client(
    one_slot_proxy: Proxy, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"status": 500})
    assert one_slot_proxy.post(PATHS[0], body(PATHS[0], "Oi", stream=stream)).status_code == 200
    assert len(simulator.requests()) == 2


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_the_plugin_has_given_up_the_proxy_does_not_try_again(
    one_slot_proxy: Proxy, simulator: Simulator, path: str, stream: bool
) -> None:
    simulator.script({"status": 503, "times": "always"})
    answer = one_slot_proxy.post(path, body(path, "Oi", stream=stream))
    assert (answer.status_code, len(simulator.requests())) == (503, 2)


def lines_of_a_stream(one_slot_proxy: Proxy) -> list[str]:
    content = body(PATHS[0], "Conte", stream=True)
    url = f"{one_slot_proxy.url}{PATHS[0]}"
    with httpx.stream("POST", url, json=content, headers=one_slot_proxy.headers, timeout=30, trust_env=False) as answer:
        return list(answer.iter_lines())


def is_refused(one_slot_proxy: Proxy) -> bool:
    """Return whether the port is closed; as long as it is open, the proxy is well."""
    try:
        assert httpx.get(f"{one_slot_proxy.url}/health/liveliness", trust_env=False).status_code == 200
    except httpx.ConnectError:
        return True
    return False


def test_sigterm_lets_a_running_stream_finish(one_slot_proxy: Proxy, simulator: Simulator) -> None:
    """The last test of this file: it ends the proxy."""
    simulator.script({"pieces": [f"{number} " for number in range(20)], "cadence": 0.1})
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lines_of_a_stream, one_slot_proxy)
        eventually(lambda: simulator.requests() and simulator.requests()[0]["frames_sent"] > 2)
        os.kill(one_slot_proxy.pid, signal.SIGTERM)
        lines = reading.result(30)
    assert ("data: [DONE]" in lines, any('"19 "' in line for line in lines)) == (True, True)
    assert simulator.requests()[0]["finished"]
    eventually(lambda: is_refused(one_slot_proxy))
