"""One execution of a Quick Command as a generator of steps (platform contract, section 2).

create ──▶ poll after 2 s ──▶ poll … up to every 10 s ──▶ COMPLETED: the result
                │ 404 in the first 30 s, an unknown status: poll again
                │ a 429, no place in the queue: poll again, to the end of the time
                │ a failure that may pass: poll again, `max_retries` times in a row at most
                └ FAILURE, a 4xx, 60 s without a start, the end of the time: StackspotError

An execution that was started is paid for. So the error that ends it lets neither a client nor a job
start another. Its creation is sent again only if the platform has certainly not received it, or
refuses it: with a 429, or with a 503 that has Retry-After. There is no known way to cancel an
execution: one whose client has left ends by itself.
"""

from __future__ import annotations

import copy
import json
import math
import random
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import field
from typing import Any

from ..data_class import data_class
from ..errors import (
    AgentError,
    AgentFailed,
    AgentRejected,
    AgentTimeout,
    QuickCommandFailed,
    QuickCommandForbidden,
    QuickCommandNotFound,
    QuickCommandTimeout,
    RateLimited,
    StackspotError,
    UploadUnknown,
)
from ..instrumentation import ExecutionEnded, ExecutionPolled, Hook, no_hook
from ..settings import Settings
from .agent_call import (
    AcquireSlot,
    AcquireToken,
    AgentCall,
    Host,
    Read,
    ReportRateLimit,
    ResponseHead,
    Send,
    Sleep,
    Step,
    with_retries,
)
from .agent_errors import Refusal, error_from_response, retry_after, with_quote
from .deadline import Deadline
from .execution_report import COMPLETED, CREATED, FAILED, ExecutionReport, read_execution_id
from .json_body import decode_body
from .private import Private
from .quotas import QUICK_COMMANDS
from .tokens import Token

GROWTH, MOST_GROWTH = 1.5, 5.0  # of the pause between two polls: in one step, and in all
JITTER = 0.2
UNKNOWN_SECONDS = 30.0  # a new execution may be unknown to the host that is polled
START_SECONDS = 60.0  # after which an execution that has not started never will

HOST = Host("service of Quick Commands", "STACKSPOT_QUICK_COMMANDS_URL")
PATH = "/v1/quick-commands"

Progress = Callable[[ExecutionReport], None]


@data_class
class ExecutionCall(AgentCall):
    """One execution of the Quick Command that `agent_id` names by its slug.

    `prompt` is the text that the tokens are estimated by, `input_data` is a text or JSON.
    """

    input_data: Any = field(default="", repr=False)

    def request(self, settings: Settings) -> tuple[str, dict[str, Any]]:
        """Return URL and body of the request that creates the execution."""
        body: dict[str, Any] = {"input_data": self.input_data}
        if self.upload_ids:
            body["upload_ids"] = self.upload_ids
        return f"{settings.account.quick_commands_url}{PATH}/create-execution/{self.agent_id}", body


def ignore_progress(report: ExecutionReport) -> None:
    """Ignore the report."""


def execute(
    call: ExecutionCall,
    settings: Settings,
    deadline: Deadline,
    hook: Hook = no_hook,
    progress: Progress = ignore_progress,
) -> Generator[Step[Any], Any, ExecutionReport]:
    """Create an execution, and poll it to its end; returns a report with a text.

    `progress` receives the report of each poll. Raises StackspotError.
    """
    execution = _Execution(call, settings, deadline, hook, progress)
    outcome = "abandoned"  # by the client, which closes the generator
    try:
        identifier = yield from with_retries(lambda _: execution.create(), settings, deadline, hook, text_received=True)
        report = yield from execution.result(identifier)
        outcome = "completed"
    except StackspotError as error:
        outcome = _outcome(error)
        raise
    finally:
        hook(ExecutionEnded(outcome, deadline.elapsed()))
    return report


def _outcome(error: StackspotError) -> str:
    kinds = {AgentFailed: "failed", AgentTimeout: "timeout", RateLimited: "limited"}
    return next((name for kind, name in kinds.items() if isinstance(error, kind)), "refused")


def _for_good(error: StackspotError) -> StackspotError:
    """Return an error of an execution that was started: another one would be paid for."""
    final = copy.copy(error)  # other calls may have failed with the same, as with that of a token
    final.retryable = final.resend = False
    final.retry_after = None
    return final


def _may_have_started(error: AgentError, *, has_response: bool) -> bool:
    """Return whether a request that failed may have created an execution.

    A response of 503 with Retry-After did not; a 408 and any other 5xx may come from a gateway.
    """
    if type(error) is AgentFailed:
        return error.status_code != 503 or error.retry_after is None
    return error.was_sent or (has_response and isinstance(error, AgentTimeout))


class _Execution:
    def __init__(
        self, call: ExecutionCall, settings: Settings, deadline: Deadline, hook: Hook, progress: Progress
    ) -> None:
        self._call = call
        self._settings = settings
        self._deadline = deadline
        self._hook = hook
        self._progress = progress
        self._private = Private.of(settings.account, call.agent_id, call.prompt)
        self._name = call.agent_id[:80]

    def create(self) -> Generator[Step[Any], Any, str]:
        """Create the execution, and return its id."""
        url, body = self._call.request(self._settings)
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", errors="replace")
        head: ResponseHead | None = None
        try:
            head, raw = yield from self._request("POST", url, content)
            if not 200 <= head.status < 300:
                yield from self._fail(head, raw)
        except AgentError as failed:
            if not _may_have_started(failed, has_response=head is not None):
                raise
            raise self._uncertain(failed) from failed.__cause__
        identifier = read_execution_id(decode_body(raw))
        if not identifier:
            error = AgentFailed(
                f"The Quick Command {self._name!r} was started, but the response has no execution id: "
                "check STACKSPOT_QUICK_COMMANDS_URL."
            )
            raise _for_good(error)
        return identifier

    def _uncertain(self, error: AgentError) -> StackspotError:
        kind: type[AgentError] = QuickCommandFailed
        reason = ("broke the connection" if error.was_sent else "failed") + " at its start"
        if isinstance(error, AgentTimeout):
            kind, reason = QuickCommandTimeout, "did not respond to its start in time"
        message = (
            f"The platform {reason}, so the Quick Command {self._name!r} may have been started: "
            "look at its executions in the portal before you send it again."
        )
        return _for_good(kind(message))

    def result(self, identifier: str) -> Generator[Step[Any], Any, ExecutionReport]:
        """Poll the execution to its end; raises errors after which no other is started."""
        try:
            return (yield from self._poll(identifier))
        except StackspotError as error:
            raise _for_good(error) from error.__cause__

    def _poll(self, identifier: str) -> Generator[Step[Any], Any, ExecutionReport]:
        """Poll until the execution has ended; raises StackspotError for any other end."""
        created = self._deadline.elapsed()
        delay, failures = self._settings.limits.quick_commands_poll, 0
        longest, has_place = MOST_GROWTH * delay, True
        while True:
            pause = delay * random.uniform(1, 1 + JITTER)  # noqa: S311
            if self._deadline.left(text_received=True) <= pause:
                raise self._not_finished(has_place=has_place)
            yield Sleep(pause)
            delay = min(delay * GROWTH, longest)
            age = self._deadline.elapsed() - created
            try:
                report = yield from self._report(identifier, young=age < UNKNOWN_SECONDS)
            except RateLimited:
                has_place = False
                continue
            except StackspotError as error:
                failures += 1
                if isinstance(error, AgentTimeout) and self._deadline.left(text_received=True) <= delay:
                    raise self._not_finished(has_place=has_place) from None
                if not error.retryable or failures > self._settings.limits.max_retries:
                    raise
                continue
            failures, has_place = 0, True
            self._progress(report)
            if report.status == COMPLETED:
                return self._completed(report)
            if report.status == FAILED:
                raise QuickCommandFailed(
                    f"The Quick Command {self._name!r} failed on the platform, which names no reason: "
                    "look at its executions in the portal."
                )
            if report.status == CREATED and age > START_SECONDS:
                raise QuickCommandTimeout(
                    f"The Quick Command {self._name!r} did not start within {START_SECONDS:g} s: "
                    "the platform is overloaded. Try again later."
                )

    def _report(self, identifier: str, *, young: bool) -> Generator[Step[Any], Any, ExecutionReport]:
        """Poll once; an execution that is not known yet counts as created."""
        # The platform, or a proxy before it, answers from a cache without these.
        url = f"{self._settings.account.quick_commands_url}{PATH}/callback/{identifier}?nocache={uuid.uuid4().hex}"
        head, raw = yield from self._request("GET", url)
        if head.status == 404 and young:
            return ExecutionReport(CREATED)
        if head.status == 404:
            raise QuickCommandFailed(
                f"The platform does not know the execution of the Quick Command {self._name!r} any more (HTTP 404): "
                "start it again."
            )
        if head.status != 200:
            yield from self._fail(head, raw)
        body = decode_body(raw)
        if not isinstance(body, Mapping):
            raise AgentFailed(
                f"The state of the Quick Command {self._name!r} cannot be read: check STACKSPOT_QUICK_COMMANDS_URL."
            )
        return ExecutionReport.read(body)

    def _completed(self, report: ExecutionReport) -> ExecutionReport:
        if report.text is None:
            raise QuickCommandFailed(
                f"The Quick Command {self._name!r} ended without a result: let its last step return one."
            )
        return report

    def _not_finished(self, *, has_place: bool) -> QuickCommandTimeout:
        advice = (
            "send it as a job, or raise STACKSPOT_TIMEOUT and the model's timeout."
            if has_place
            else "the quota of Quick Commands had no place for its last polls. Send fewer at once, "
            "or raise STACKSPOT_QUICK_COMMANDS_PER_MINUTE if the account allows more."
        )
        return QuickCommandTimeout(
            f"The Quick Command {self._name!r} did not finish within {self._deadline.timeout:g} s: {advice}"
        )

    def _request(
        self, method: str, url: str, content: bytes = b""
    ) -> Generator[Step[Any], Any, tuple[ResponseHead, bytes]]:
        """Send a request, and after a 401 again with another token; return its whole response."""
        polls = method == "GET"
        token: Token = yield AcquireToken(timeout=self._timeout())
        for last in (False, True):
            limit = math.inf if polls else self._settings.limits.queue_timeout
            queue_timeout = self._deadline.queue_timeout(limit, text_received=True)
            yield AcquireSlot(queue_timeout, self._call.caller, QUICK_COMMANDS)
            if polls:
                self._hook(ExecutionPolled())
            headers = {
                "authorization": f"Bearer {token.value}",
                "content-type": "application/json",
                "accept": "application/json",
                "cache-control": "no-cache",
            }
            head: ResponseHead = yield Send(url, headers, content, self._timeout(), HOST, method)
            if head.status != 401 or last:
                break
            token = yield AcquireToken(token, self._timeout())
        body = head.body
        while head.status == 200 and (chunk := (yield Read(self._timeout()))):
            body += chunk
            if len(body) > self._settings.requests.max_frame_bytes:
                error = AgentFailed(
                    f"The result of the Quick Command {self._name!r} has more than "
                    f"{self._settings.requests.max_frame_bytes} bytes: let it return less, "
                    "or raise STACKSPOT_MAX_FRAME_BYTES."
                )
                raise _for_good(error)
        return head, body

    def _fail(self, head: ResponseHead, raw: bytes) -> Generator[Step[Any], Any, None]:
        """Raise the error of a response; a limit that passes soon pauses the quota."""
        body = decode_body(raw)
        refusal = Refusal.read(body)
        error: StackspotError = error_from_response(
            head.status, body, head.headers, with_files=bool(self._call.upload_ids), private=self._private
        )
        if isinstance(error, UploadUnknown):
            pass
        elif head.status == 404:
            error = self._quoted(
                QuickCommandNotFound(
                    f"There is no Quick Command {self._name!r}: check the slug in config.yaml, and that it is published."
                ),
                refusal,
            )
        elif head.status == 403 and not isinstance(error, RateLimited) and error.status_code == 403:
            error = self._quoted(
                QuickCommandForbidden(
                    f"The Quick Command {self._name!r} is not shared with this account (HTTP 403): "
                    "share it in the portal."
                ),
                refusal,
            )
        elif type(error) is AgentRejected:
            error = self._quoted(
                AgentRejected(
                    f"The Quick Command {self._name!r} refuses its input with HTTP {head.status}: "
                    "compare model_info.quick_command.input with what it expects."
                ),
                refusal,
            )
        if isinstance(error, RateLimited) and error.retryable:
            self._deadline.mark_rate_limited()
            yield ReportRateLimit(retry_after(head.headers), QUICK_COMMANDS)
        raise error

    def _quoted(self, error: StackspotError, refusal: Refusal) -> StackspotError:
        return with_quote(error, refusal.details, self._private)

    def _timeout(self) -> float:
        return self._deadline.silence_timeout(text_received=True)
