"""What one call of the agent needs, step by step, as a generator: `transport` carries the steps out, blocking or awaiting.

NeedToken ──▶ Send ──▶ 200 ──▶ Read … Read ──▶ end of the answer
               │ 401, the first time: NeedToken with the refused token, and Send again
               └ any other status: StackspotError
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from ..settings import Settings
from .auth import Token
from .frames import refusal

Event = TypeVar("Event")


@dataclass(frozen=True, slots=True)
class NeedToken:
    """Answered with a Token that is not the refused one."""

    refused: Token | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Answered with a Head; the answer's body, if it is a good one, is then read by Read.

    `timeout` is the number of seconds without a sign of life after which the agent is given up.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    timeout: float


@dataclass(frozen=True, slots=True)
class Read:
    """Answered with the next bytes of the answer, or with None at its end."""


@dataclass(frozen=True, slots=True)
class Emit(Generic[Event]):
    """Answered with None once the caller has taken the events, all of which arrived together."""

    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Head:
    """How an HTTP answer begins; `body` is filled for a refusal only."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class AgentCall:
    """One question to one agent."""

    agent_id: str
    prompt: str = field(repr=False)
    correlation_id: str
    timeout: float


Step: TypeAlias = NeedToken | Send | Read | Emit[Event]
Steps: TypeAlias = Generator[Step[Event], Any, None]


def open_answer(call: AgentCall, settings: Settings) -> Generator[Step[Any], Any, None]:
    """Go to the point where the answer can be read; a refused token is renewed once, and the call is made once more."""
    token = yield NeedToken()
    head: Head = yield _request(call, settings, token)
    if head.status == 401:
        token = yield NeedToken(refused=token)
        head = yield _request(call, settings, token)
    if head.status != 200:
        raise refusal(head.status, _decoded(head.body), head.headers)


def _request(call: AgentCall, settings: Settings, token: Token) -> Send:
    """Build the request with the four fields of every call (contract, section 2).

    It always asks for a stream: the platform's gateway drops a call that does not at 120 seconds.
    """
    body = {
        "streaming": True,
        "user_prompt": call.prompt,
        "stackspot_knowledge": False,
        "return_ks_in_response": False,
    }
    headers = {
        "authorization": f"Bearer {token.value}",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "correlation-id": call.correlation_id,
    }
    url = f"{settings.inference_url}/v1/agent/{call.agent_id}/chat"
    content = json.dumps(body, ensure_ascii=False).encode("utf-8", errors="replace")
    return Send(url, headers, content, call.timeout)


def _decoded(body: bytes) -> object:
    text = body.decode("utf-8", errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
