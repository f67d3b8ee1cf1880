"""One call of the agent as a generator of steps; `client` performs them.

AcquireToken ──▶ AcquireSlot ──▶ Send ──▶ 200 ──▶ Read … Read ──▶ end of the answer
                                   │ 401, the first time: AcquireToken(rejected), and Send again
                                   │ 429: ReportRateLimit, and restart; AcquireSlot then pauses
                                   │ 5xx, 408, no connection: Sleep, and restart
                                   └ any other status: StackspotError
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import field
from typing import Any, Generic, TypeAlias, TypeVar

from ..data_class import data_class
from ..errors import AgentError, QueueFull, RateLimited
from ..instrumentation import Hook, Retried, no_hook
from ..request.caller import ANYONE, Caller
from ..settings import Settings
from .agent_choice import NO_CHOICE, AgentChoice
from .agent_errors import error_from_response, rate_limited, retry_after
from .deadline import Deadline
from .json_body import decode_body
from .knowledge import NO_KNOWLEDGE, Knowledge
from .private import Private
from .quotas import AGENTS
from .tokens import Token

BACKOFF = 0.5

Event = TypeVar("Event")
Result = TypeVar("Result")


@data_class
class AcquireToken:
    """Result: a Token other than `rejected`; takes at most `timeout` seconds (None: unlimited)."""

    rejected: Token | None = None
    timeout: float | None = None


@data_class
class AcquireSlot:
    """Result: None once a request may be sent, or QueueFull after at most `timeout` seconds.

    The slot is held until the generator ends; another AcquireSlot counts another request.
    """

    timeout: float
    caller: Caller = ANYONE
    quota: str = AGENTS


@data_class
class ReportRateLimit:
    """The agent responded with a 429, and with `seconds` to wait if it named them. Result: None."""

    seconds: float | None
    quota: str = AGENTS


@data_class
class Sleep:
    """Result: None after `seconds`."""

    seconds: float


@data_class
class TakeConversation:
    """Result: the id of the conversation saved with this fingerprint, which is removed, or None."""

    fingerprint: str


@data_class
class SaveConversation:
    """Result: None once the conversation is saved with this fingerprint."""

    fingerprint: str
    conversation_id: str


@data_class
class Host:
    """A host's name in error messages, and what to check where it is unreachable."""

    name: str
    check: str


AGENT = Host("agent", "STACKSPOT_INFERENCE_URL")


@data_class
class MultipartForm:
    """Form fields, followed by a file in the field `file`."""

    fields: Mapping[str, str] = field(repr=False)
    file_name: str = field(repr=False)
    content_type: str
    data: bytes = field(repr=False)


@data_class
class Send:
    """Send a request. Result: a ResponseHead; the body of a 200 follows by Read.

    `timeout` limits the seconds until the headers arrive.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | MultipartForm = field(repr=False)
    timeout: float
    host: Host = AGENT
    method: str = "POST"


@data_class
class FetchPublicFile:
    """Result: the bytes at a public https URL, or RequestError for the field `param`.

    Takes at most `timeout` seconds.
    """

    url: str = field(repr=False)
    param: str
    max_bytes: int
    timeout: float


@data_class
class Read:
    """Result: the next bytes of the response, or None at its end, within `timeout` seconds."""

    timeout: float


@data_class
class Emit(Generic[Event]):
    """Deliver events that arrived together, before the next step that waits. Result: None."""

    events: Sequence[Event]


@data_class
class ResponseHead:
    """Status and headers (lower-case names) of a response; `body` is empty for a 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@data_class
class AgentCall:
    """One request to an agent, of which `choice` is the model and the version.

    `conversation_id` has StackSpot keep it in that conversation, `knowledge` what to search for it.
    """

    agent_id: str
    prompt: str = field(repr=False)
    correlation_id: str
    conversation_id: str | None = None
    upload_ids: tuple[str, ...] = ()
    caller: Caller = ANYONE
    knowledge: Knowledge = NO_KNOWLEDGE
    choice: AgentChoice = NO_CHOICE

    def request(self, settings: Settings) -> tuple[str, dict[str, Any]]:
        """Return URL and body (contract, section 2); whole answers would end after 120 seconds."""
        options = {**self.knowledge.fields(), **self.choice.fields()}
        body: dict[str, Any] = {"streaming": True, "user_prompt": self.prompt, **options}
        if self.conversation_id is not None:
            body |= {"use_conversation": True, "conversation_id": self.conversation_id}
        if self.upload_ids:
            body["upload_ids"] = self.upload_ids
        return f"{settings.account.inference_url}/v1/agent/{self.agent_id}/chat", body


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


def advance(steps: Steps[Event], result: object) -> Step[Event] | None:
    """Send or throw the last step's result, and return the next step, or None at the end.

    >>> def steps():
    ...     chunk = yield Read(timeout=60)
    ...     yield Emit([chunk.decode()])
    >>> generator = steps()
    >>> advance(generator, None), advance(generator, b"Hello"), advance(generator, None)
    (Read(timeout=60), Emit(events=['Hello']), None)
    """
    try:
        return steps.throw(result) if isinstance(result, BaseException) else steps.send(result)
    except StopIteration:
        return None


def read_nothing() -> Generator[Step[Any], Any, None]:
    """Read nothing of an answer."""
    yield from ()


def open_stream(
    call: AgentCall,
    settings: Settings,
    deadline: Deadline,
    hook: Hook = no_hook,
    *,
    read_start: Callable[[], Generator[Step[Any], Any, None]] = read_nothing,
) -> Generator[Step[Any], Any, None]:
    """Send the call with retries, up to the point where Read can follow; raises StackspotError.

    `read_start` reads the start of the answer, as a part of each attempt: so an error that the
    agent reports in the place of an answer is retried like one with an HTTP status.
    """

    def attempt(first: bool) -> Generator[Step[Any], Any, None]:
        return _attempt(call, settings, deadline, read_start, first=first)

    yield from with_retries(attempt, settings, deadline, hook)


def with_retries(
    attempt: Callable[[bool], Generator[Step[Any], Any, Result]],
    settings: Settings,
    deadline: Deadline,
    hook: Hook = no_hook,
    *,
    text_received: bool = False,
) -> Generator[Step[Any], Any, Result]:
    """Repeat `attempt(is_first)` until it succeeds, fails for good, or no retry or time is left."""
    failure: AgentError | None = None
    number = 0
    while True:
        try:
            return (yield from attempt(not number))
        except QueueFull as full:
            raise _combined(failure, full) from None
        except AgentError as error:
            failure = error
        delay = _delay(failure, number)
        if (
            not failure.retryable
            or number >= settings.limits.max_retries
            or delay >= deadline.left(text_received=text_received)
        ):
            raise failure
        hook(Retried(type(failure).__name__))
        if delay:
            yield Sleep(delay)
        number += 1


def _combined(failure: AgentError | None, full: QueueFull) -> AgentError:
    """Return the agent's 429, which caused QueueFull, with the longer wait of both."""
    if failure is None:
        return full
    if isinstance(failure, RateLimited) and (full.retry_after or 0.0) > (failure.retry_after or 0.0):
        return rate_limited(full.retry_after)
    return failure


def _delay(error: AgentError, attempt: int) -> float:
    """Return an exponential backoff with jitter; after a 429 it is 0, because the queue pauses."""
    if isinstance(error, RateLimited):
        return 0.0
    backoff: float = BACKOFF * 2**attempt * random.uniform(0.5, 1)  # noqa: S311
    return max(error.retry_after or 0.0, backoff)


def _attempt(
    call: AgentCall,
    settings: Settings,
    deadline: Deadline,
    read_start: Callable[[], Generator[Step[Any], Any, None]],
    *,
    first: bool,
) -> Generator[Step[Any], Any, None]:
    """Make the call, and after a 401 again with another token."""
    token = yield AcquireToken(timeout=deadline.silence_timeout(text_received=first))
    head = yield from _send(call, settings, deadline, token, first=first)
    if head.status == 401:
        token = yield AcquireToken(token, deadline.silence_timeout(text_received=False))
        head = yield from _send(call, settings, deadline, token, first=False)
    try:
        if head.status != 200:
            private = Private.of(settings.account, call.agent_id, call.prompt)
            raise error_from_response(
                head.status,
                decode_body(head.body),
                head.headers,
                with_files=bool(call.upload_ids),
                private=private,
                options=(*call.choice.settings, *call.knowledge.settings),
            )
        yield from read_start()
    except RateLimited as error:
        if error.retryable:
            deadline.mark_rate_limited()
            yield ReportRateLimit(retry_after(head.headers))
        raise


def _send(
    call: AgentCall, settings: Settings, deadline: Deadline, token: Token, *, first: bool
) -> Generator[Step[Any], Any, ResponseHead]:
    yield AcquireSlot(deadline.queue_timeout(settings.limits.queue_timeout, text_received=first), call.caller)
    if first:
        deadline.mark_sent()
    head: ResponseHead = yield _request(call, settings, token, deadline.silence_timeout(text_received=False))
    return head


def _request(call: AgentCall, settings: Settings, token: Token, timeout: float) -> Send:
    url, body = call.request(settings)
    headers = {
        "authorization": f"Bearer {token.value}",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "correlation-id": call.correlation_id,
    }
    content = json.dumps(body, ensure_ascii=False).encode("utf-8", errors="replace")
    return Send(url, headers, content, timeout)
