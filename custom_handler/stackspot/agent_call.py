"""What one call of the agent needs, step by step, as a generator: `client` carries the steps out.

AcquireToken ──▶ AcquireSlot ──▶ Send ──▶ 200 ──▶ Read … Read ──▶ end of the answer
                            │ 401, the first time: AcquireToken with the refused token, and Send again
                            │ 429: ReportRateLimit, and again from the beginning; AcquireSlot waits until the pause is over
                            │ 5xx, 408, no connection: Sleep, and again from the beginning, while there is time
                            └ any other status: StackspotError
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from ..errors import AgentError, QueueFull, RateLimited
from ..instrumentation import Hook, Retried, no_hook
from ..settings import Settings
from .deadline import Deadline
from .frames import error_from_response, rate_limited, retry_after
from .tokens import Token

BACKOFF = 0.5

Event = TypeVar("Event")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class AcquireToken:
    """Answered with a Token that is not the refused one; `patience` is how many seconds it may take, None: any number."""

    refused: Token | None = None
    patience: float | None = None


@dataclass(frozen=True, slots=True)
class AcquireSlot:
    """Answered with None once the call may be sent, or with QueueFull; `patience` is how many seconds it may wait.

    The place is kept until the exchange hangs up; needing a slot again keeps it, and spends another request of the minute.
    """

    patience: float


@dataclass(frozen=True, slots=True)
class ReportRateLimit:
    """Answered with None: the agent refused for too many requests, and named the seconds to wait, or None."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Answered with None after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class TakeConversation:
    """Answered with the id of the conversation that was remembered by this fingerprint, which is forgotten then, or None."""

    fingerprint: str


@dataclass(frozen=True, slots=True)
class SaveConversation:
    """Answered with None once the conversation is remembered by this fingerprint."""

    fingerprint: str
    conversation_id: str


@dataclass(frozen=True, slots=True)
class Host:
    """Who is asked, as errors call it, and what to check where it cannot be reached."""

    name: str
    check: str


AGENT = Host("agent", "STACKSPOT_INFERENCE_URL")


@dataclass(frozen=True, slots=True)
class MultipartForm:
    """A form with a file, which is its last field, named `file`."""

    fields: Mapping[str, str] = field(repr=False)
    file_name: str = field(repr=False)
    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Send:
    """Answered with a Head; the answer's body, if it is a good one, is then read by Read.

    `timeout` is the number of seconds without a sign of life after which `peer` is given up.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | MultipartForm = field(repr=False)
    timeout: float
    peer: Host = AGENT


@dataclass(frozen=True, slots=True)
class FetchPublicFile:
    """Answered with the bytes at an https address of the public internet, or with RequestError, which names `where`.

    `most` is how many bytes there may be, `timeout` how many seconds it may take.
    """

    url: str = field(repr=False)
    where: str
    most: int
    timeout: float


@dataclass(frozen=True, slots=True)
class Read:
    """Answered with the next bytes of the answer, or with None at its end.

    `timeout` is the number of seconds without a byte after which the agent is given up.
    """

    timeout: float


@dataclass(frozen=True, slots=True)
class Emit(Generic[Event]):
    """Answered with None; the caller takes the events, all of which arrived together, before the next step is waited for."""

    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """How an HTTP answer begins; `body` is filled for a refusal only."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class AgentCall:
    """One question to one agent; `conversation_id` is that of the conversation in which the platform is to keep it."""

    agent_id: str
    prompt: str = field(repr=False)
    correlation_id: str
    conversation_id: str | None = None
    upload_ids: tuple[str, ...] = ()


Step: TypeAlias = (
    AcquireToken
    | AcquireSlot
    | ReportRateLimit
    | Sleep
    | TakeConversation
    | SaveConversation
    | FetchPublicFile
    | Send
    | Read
    | Emit[Event]
)
Steps: TypeAlias = Generator[Step[Event], Any, None]


def advance(steps: Steps[Event], answer: object) -> Step[Event] | None:
    """Hand the answer of the last step in, an error as an exception, and return the next step, or None after the last one."""
    try:
        return steps.throw(answer) if isinstance(answer, BaseException) else steps.send(answer)
    except StopIteration:
        return None


def open_stream(
    call: AgentCall, settings: Settings, deadline: Deadline, tell: Hook = no_hook
) -> Generator[Step[Any], Any, None]:
    """Go to the point where the answer can be read, in several attempts where that may help and there is time for it."""
    yield from with_retries(lambda first: _attempt(call, settings, deadline, first=first), settings, deadline, tell)


def with_retries(
    attempt: Callable[[bool], Generator[Step[Any], Any, Result]],
    settings: Settings,
    deadline: Deadline,
    tell: Hook = no_hook,
    *,
    spoken: bool = False,
) -> Generator[Step[Any], Any, Result]:
    """Make attempts, told whether they are the first, until one succeeds or another would not help or come in time."""
    failure: AgentError | None = None
    number = 0
    while True:
        try:
            return (yield from attempt(not number))
        except QueueFull as full:
            raise _longer(failure, full) from None
        except AgentError as error:
            failure = error
        delay = _delay(failure, number)
        if not failure.retryable or number >= settings.limits.max_retries or delay >= deadline.left(spoken=spoken):
            raise failure
        tell(Retried(type(failure).__name__))
        if delay:
            yield Sleep(delay)
        number += 1


def _longer(failure: AgentError | None, full: QueueFull) -> AgentError:
    """Tell the agent's refusal rather than the queue's, which it caused, but with the longer wait of both."""
    if failure is None:
        return full
    if isinstance(failure, RateLimited) and (full.retry_after or 0.0) > (failure.retry_after or 0.0):
        return rate_limited(full.retry_after)
    return failure


def _delay(error: AgentError, attempt: int) -> float:
    """Wait longer each time, and not all callers equally long; the pause after a 429 is the queue's."""
    if isinstance(error, RateLimited):
        return 0.0
    backoff: float = BACKOFF * 2**attempt * random.uniform(0.5, 1)  # noqa: S311
    return max(error.retry_after or 0.0, backoff)


def _attempt(
    call: AgentCall, settings: Settings, deadline: Deadline, *, first: bool
) -> Generator[Step[Any], Any, None]:
    """Make the call once, and once more with another token where the first one is refused."""
    token = yield AcquireToken(patience=deadline.patience(spoken=first))
    head = yield from _send(call, settings, deadline, token, first=first)
    if head.status == 401:
        token = yield AcquireToken(token, deadline.patience(spoken=False))
        head = yield from _send(call, settings, deadline, token, first=False)
    if head.status != 200:
        error = error_from_response(head.status, _decoded(head.body), head.headers, with_files=bool(call.upload_ids))
        if isinstance(error, RateLimited):
            yield ReportRateLimit(retry_after(head.headers))
        raise error


def _send(
    call: AgentCall, settings: Settings, deadline: Deadline, token: Token, *, first: bool
) -> Generator[Step[Any], Any, ResponseHead]:
    yield AcquireSlot(max(0.0, min(settings.limits.queue_timeout, deadline.left(spoken=first))))
    if first:
        deadline.begin()
    head: ResponseHead = yield _request(call, settings, token, deadline.patience(spoken=False))
    return head


def _request(call: AgentCall, settings: Settings, token: Token, timeout: float) -> Send:
    """Build the request with the four fields of every call, and one for files (contract, section 2).

    It always asks for a stream: the platform's gateway drops a call that does not at 120 seconds.
    """
    body: dict[str, Any] = {
        "streaming": True,
        "user_prompt": call.prompt,
        "stackspot_knowledge": False,
        "return_ks_in_response": False,
    }
    if call.conversation_id is not None:
        body |= {"use_conversation": True, "conversation_id": call.conversation_id}
    if call.upload_ids:
        body["upload_ids"] = call.upload_ids
    headers = {
        "authorization": f"Bearer {token.value}",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "correlation-id": call.correlation_id,
    }
    url = f"{settings.account.inference_url}/v1/agent/{call.agent_id}/chat"
    content = json.dumps(body, ensure_ascii=False).encode("utf-8", errors="replace")
    return Send(url, headers, content, timeout)


def _decoded(body: bytes) -> object:
    text = body.decode("utf-8", errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
