"""The attacker's calls of `make siege`: a schema on each route of the proxy."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from .. import servers
from ..protocols import PATHS, Received, read_event, read_whole
from .schemas import Attack

CALL_SECONDS = 60
CHAT = "/chat"
TOOL = "work"
AS_SENT = "the agent's answer"

_PIECE_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Route:
    """A way to send a schema: the path, and the fields of the body with the schema."""

    name: str
    path: str
    carry: Callable[[Mapping[str, Any]], dict[str, Any]]
    tool: bool = False


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the field of a chat completion that carries a schema."""
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}


def _text_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": {"format": {"type": "json_schema", "name": "answer", "schema": schema}}}


def _output_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"output_format": {"type": "json_schema", "schema": schema}}


def _tools(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": TOOL, "parameters": schema}}]}


ROUTES = (
    Route("chat/completions", PATHS[0], response_format),
    Route("responses", PATHS[2], _text_format),
    Route("messages", PATHS[1], _output_format),
    Route("/chat", CHAT, response_format),
    Route("a tool's parameters", PATHS[0], _tools, tool=True),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the attacker."""

    attack: Attack
    route: Route
    stream: bool

    @property
    def name(self) -> str:
        """The name in the table."""
        return f"{self.attack.name} | {self.route.name} | {'streamed' if self.stream else 'whole'}"

    def body(self) -> dict[str, Any]:
        """Return the body of the request."""
        carried = self.route.carry(self.attack.schema)
        messages = [{"role": "user", "content": question(self.attack, tool=self.route.tool)}]
        if self.route.path == CHAT:
            return {
                "model": servers.STACKSPOT,
                "messages": messages,
                "params": carried | ({"stream": True} if self.stream else {}),
            }
        asked: dict[str, Any] = {"model": servers.STACKSPOT, "stream": self.stream, **carried}
        if self.route.path == PATHS[2]:
            return asked | {"input": messages[0]["content"]}
        return asked | {"messages": messages} | ({"max_tokens": 100_000} if self.route.path == PATHS[1] else {})


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a call; `ended` if the proxy responded in time, even with an error."""

    status: int
    seconds: float
    outcome: str
    ended: bool


def question(attack: Attack, kind: str = "json", *, tool: bool = False) -> str:
    """Return the prompt that selects an attack's scripted response."""
    return f"<{'tool' if tool else kind}: {attack.name}>"


def scripted_responses(attacks: Iterable[Attack]) -> Iterator[dict[str, Any]]:
    """Yield replies with each attack's value: as JSON, as tool arguments, and late in a job."""
    for attack in attacks:
        text = json.dumps(attack.value)
        block = f"FUNCTION_CALL_START\n{TOOL}\narguments: {text}\nFUNCTION_CALL_END\n"
        always = {"times": "always", "cadence": 0}
        yield {"match": question(attack), "pieces": _pieces(text), **always}
        yield {"match": question(attack, tool=True), "pieces": _pieces(block), **always}
        yield {"match": question(attack, "job"), "pieces": _pieces(text), "delay_first": 2, **always}


def _pieces(text: str) -> list[str]:
    """Cut a text into few pieces, because thousands of deltas would cost more than a schema."""
    return [text[start : start + _PIECE_CHARACTERS] for start in range(0, len(text), _PIECE_CHARACTERS)]


def call(url: str, key: str, one: Call) -> Result:
    """Make a call and return its result."""
    began = time.monotonic()
    try:
        answer = httpx.post(
            url + one.route.path,
            json=one.body(),
            headers={"Authorization": f"Bearer {key}"},
            timeout=CALL_SECONDS,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        return Result(0, time.monotonic() - began, f"no answer: {type(error).__name__}", ended=False)
    return Result(answer.status_code, time.monotonic() - began, _outcome(one, answer), ended=answer.status_code < 500)


def _outcome(one: Call, answer: httpx.Response) -> str:
    if answer.status_code != 200:
        return answer.text[:100].replace("\n", " ")
    received = Received()
    if one.route.path == CHAT:
        received.text.append(_chat_text(answer.text) if one.stream else answer.json()["content"])
    elif one.stream:
        for line in answer.text.splitlines():
            if line.startswith("data:"):
                read_event(one.route.path, line[5:].strip(), received)
    else:
        read_whole(one.route.path, answer.json(), received)
    if received.failed:
        return "an error within the answer"
    text = "".join(received.arguments if one.route.tool else received.text)
    return AS_SENT if _loaded(text) == one.attack.value else f"another answer: {text[:60]!r}"


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _chat_text(body: str) -> str:
    """Return the text of a streamed response of /chat: its events without a name."""
    events = (event.split("\n") for event in body.split("\n\n"))
    data = ("\n".join(line[6:] for line in lines) for lines in events if lines[0].startswith("data: "))
    return "".join(text for text in data if text != "[DONE]")
