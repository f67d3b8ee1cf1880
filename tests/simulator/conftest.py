"""A simulator in the test's event loop, and a client for it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from custom_handler.simulator import Simulator, SimulatorSettings

AGENT = "01K00000000000000000000000"
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "simulator",
    "client_secret": "simulator-secret",
}


class Service:
    """The simulator as its clients see it."""

    def __init__(self, simulator: Simulator, client: httpx.AsyncClient) -> None:
        self.simulator = simulator
        self.client = client

    async def request_token(self, realm="simulator", **changes) -> httpx.Response:
        return await self.client.post(f"/{realm}/oidc/oauth/token", data=CREDENTIALS | changes)

    async def log_in(self) -> None:
        token = (await self.request_token()).json()["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"

    def build(self, prompt: Any = "Olá", agent: str = AGENT, **fields) -> httpx.Request:
        body = {
            "user_prompt": prompt,
            "streaming": True,
            "stackspot_knowledge": False,
            "return_ks_in_response": False,
        }
        return self.client.build_request("POST", f"/v1/agent/{agent}/chat", json=body | fields)

    async def ask(self, prompt: Any = "Olá", agent: str = AGENT, **fields) -> httpx.Response:
        return await self.client.send(self.build(prompt, agent, **fields))

    async def ask_for_frames(self, prompt: Any = "Olá", **fields) -> list[Any]:
        return read_frames((await self.ask(prompt, **fields)).content)

    async def script(self, *plays: dict[str, Any]) -> None:
        answer = await self.client.post("/control/script", json={"plays": plays})
        assert answer.status_code == 200, answer.text

    async def state(self) -> dict[str, Any]:
        return (await self.client.get("/control/state")).json()

    async def requests(self, **query: str) -> list[dict[str, Any]]:
        return (await self.client.get("/control/requests", params=query)).json()

    async def configure(self, **settings) -> httpx.Response:
        return await self.client.post("/control/settings", json=settings)


def read_frames(content: bytes, line_ending: bytes = b"\n") -> list[Any]:
    """The JSON of each frame; what is no JSON stays bytes."""
    frames = []
    for block in content.split(line_ending * 2):
        data = block.removeprefix(b"data: ")
        try:
            frames.append(json.loads(data))
        except ValueError:
            frames += [data] if data else []
    return frames


def join_messages(frames: list[Any]) -> str:
    """The text that the frames carry."""
    return "".join(frame.get("message") or "" for frame in frames if isinstance(frame, dict))


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    settings = SimulatorSettings(first_token_delay=0, cadence=0)
    # Without TLS there is no need to read the machine's certificates for every test.
    transport = httpx.AsyncHTTPTransport(verify=False)
    async with (
        Simulator(settings=settings) as simulator,
        httpx.AsyncClient(base_url=simulator.url, transport=transport, timeout=60) as client,
    ):
        service = Service(simulator, client)
        await service.log_in()
        yield service


@pytest.fixture
def frames_of():
    return read_frames


@pytest.fixture
def text_of():
    return join_messages
