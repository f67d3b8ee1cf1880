"""The routes under /control, and the records of requests."""

import asyncio
import time

import httpx
import pytest

from custom_handler.simulator import Simulator, SimulatorSettings, SimulatorThread
from custom_handler.simulator.request_log import MOST_RECORDS, Record, Recorder

AGENT = "01K00000000000000000000000"


async def test_a_chat_is_recorded_without_its_credential(service):
    before = time.time()
    await service.ask("Bom dia", deep_search_ks=False)
    await asyncio.sleep(0)
    record = (await service.requests(at="chat"))[-1]
    token = service.client.headers["Authorization"].split()[1]
    assert (record["path"], record["agent_id"], record["prompt"]) == (f"/v1/agent/{AGENT}/chat", AGENT, "Bom dia")
    assert record["body"] == {
        "streaming": True,
        "stackspot_knowledge": False,
        "return_ks_in_response": False,
        "deep_search_ks": False,
    }
    assert record["headers"]["authorization"].startswith("Bearer sha256:")
    assert token not in str(record)
    assert record["headers"]["content-type"] == "application/json"
    assert (record["status"], record["finished"], record["disconnected"]) == (200, True, False)
    assert before <= record["started"] <= time.time()
    assert record["frames_sent"] > 3


async def test_a_token_request_is_recorded_without_its_secret(service):
    record = (await service.requests(at="token"))[-1]
    assert record["body"] == {"grant_type": "client_credentials", "client_id": "simulator"}
    assert "simulator-secret" not in str(record)


async def test_refused_requests_are_recorded_too(service):
    await service.ask("")
    assert (await service.requests(at="chat"))[-1]["status"] == 400


async def test_records_are_found_by_their_prompt_and_can_be_cleared(service):
    for prompt in ("first", "second", "first again"):
        await service.ask(prompt)
    assert [record["prompt"] for record in await service.requests(match="first")] == ["first", "first again"]
    await service.client.delete("/control/requests")
    assert await service.requests() == []


def test_only_the_newest_records_are_kept():
    recorder = Recorder()
    for number in range(MOST_RECORDS + 10):
        recorder.start(Record("chat", str(number), {}, 0))
    paths = [record["path"] for record in recorder.find()]
    assert (len(paths), paths[0]) == (MOST_RECORDS, "10")


async def test_the_state_counts_what_happened(service):
    await service.script({"text": "never sent", "match": "nothing like it"})
    await service.ask()
    await service.ask(agent="unknown")
    state = await service.state()
    assert (state["token_requests"], state["tokens_issued"], state["chat_requests"]) == (1, 1, 2)
    assert (state["open_streams"], state["most_open_streams"], state["plays_waiting"]) == (0, 1, 1)


async def test_settings_can_be_read_and_changed(service):
    changed = (await service.configure(cadence=1, requests_per_minute=None)).json()
    assert changed == (await service.client.get("/control/settings")).json()
    assert (changed["cadence"], changed["realm"]) == (1, "simulator")


@pytest.mark.parametrize(
    "settings",
    [
        {"unknown": 1},
        {"cadence": "fast"},
        {"realm": 7},
        {"seed": 0.5},
        {"burst": True},
        {"cadence": None},
    ],
)
async def test_wrong_settings_are_refused(service, settings):
    assert (await service.configure(**settings)).status_code == 400


async def test_a_reset_undoes_everything_but_the_tokens(service):
    await service.configure(token_limit=0, requests_per_minute=1)
    await service.script({"text": "a"})
    await service.ask()
    await service.client.delete("/control")
    state = await service.state()
    assert (state["chat_requests"], state["plays_waiting"], await service.requests()) == (0, 0, [])
    assert (await service.ask()).status_code == 200


async def test_stopping_ends_open_streams_quickly():
    simulator = Simulator(settings=SimulatorSettings(first_token_delay=3600))
    await simulator.start()
    async with httpx.AsyncClient(base_url=simulator.url) as client:
        form = {"grant_type": "client_credentials", "client_id": "simulator", "client_secret": "simulator-secret"}
        token = (await client.post("/simulator/oidc/oauth/token", data=form)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        body = {"user_prompt": "a", "streaming": True}
        request = client.build_request("POST", f"/v1/agent/{AGENT}/chat", json=body, headers=headers)
        answers = [await client.send(request, stream=True) for _ in range(20)]
        await asyncio.wait_for(simulator.stop(), 60)
        with pytest.raises(httpx.RemoteProtocolError):
            await answers[0].aread()
        for answer in answers:
            await answer.aclose()


def test_a_simulator_on_a_thread_is_scripted_without_http():
    with SimulatorThread(SimulatorSettings(first_token_delay=0, cadence=0)) as simulator:
        simulator.script({"at": "token", "body": {"scripted": True}}, {"text": "unused"})
        form = {"grant_type": "client_credentials", "client_id": "simulator", "client_secret": "simulator-secret"}
        url = f"{simulator.url}/simulator/oidc/oauth/token"
        assert httpx.post(url, data=form).json() == {"scripted": True}
        assert simulator.state()["plays_waiting"] == 1
        assert [record["at"] for record in simulator.requests()] == ["token"]
        simulator.configure(client_secret="new")
        assert httpx.post(url, data=form).status_code == 401
        simulator.forget_requests()
        assert simulator.requests() == []
        simulator.reset()
        assert simulator.state()["token_requests"] == 0
        simulator.revoke()
        with pytest.raises(ValueError, match="txt"):
            simulator.script({"txt": "a"})
    with pytest.raises(httpx.ConnectError):
        httpx.get(simulator.url)


def test_a_port_in_use_is_raised_by_start():
    with SimulatorThread() as first, pytest.raises(OSError, match="in use"):
        SimulatorThread(port=first.port).start()


@pytest.mark.slow
async def test_two_hundred_streams_at_once_all_end_well(service, text_of, frames_of):
    await service.script({"text": "word " * 50, "cadence": 0.001, "times": "always"})
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    transport = httpx.AsyncHTTPTransport(limits=limits)
    headers = {"Authorization": service.client.headers["Authorization"]}
    async with httpx.AsyncClient(
        base_url=service.simulator.url, transport=transport, headers=headers, timeout=60
    ) as client:
        requests = [service.build(f"number {number}") for number in range(200)]
        answers = await asyncio.gather(*(client.send(request) for request in requests))
    assert {text_of(frames_of(answer.content)) for answer in answers} == {"word " * 50}
    assert (await service.state())["most_open_streams"] > 100
