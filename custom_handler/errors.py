"""The exceptions of this package, each with the HTTP status that the client receives.

StackspotError
├── RequestError                400  the request is malformed, or asks for something unsupported
├── PromptTooLong               400  the conversation exceeds the context of the agent's model
├── ModelUnknown                404  the operator lists no agent under this name
├── ResponseUnknown             404  no response or item of this id is kept for the API key
├── ApprovedCallRuns            409  an earlier request with this approval makes the call
├── ConfigurationError          503  a setting is missing or invalid
├── JobStoreUnavailable         503  the job store can be neither read nor written
├── ResponseStoreUnavailable    503  the kept responses cannot be read
├── IdentityError
│   ├── CredentialsRefused      502  StackSpot rejects the gateway's credentials
│   └── IdentityUnavailable     503  the identity service returns no token
└── AgentError
    ├── TokenRefused            502  the agent rejects a token that was just issued
    ├── AgentForbidden          403  the agent is not shared with this account
    │   └── QuickCommandForbidden  403  the Quick Command is not shared with this account
    ├── AgentNotFound           404  the agent does not exist
    │   └── QuickCommandNotFound   404  the Quick Command does not exist
    ├── RateLimited             429  the account's requests of this minute are used up
    │   ├── QueueFull           429  the gateway's own queue has no slot in time
    │   └── QuotaExhausted      429  a limit of the account that lasts for hours is reached
    ├── CreditExhausted         402  the account has no credit left
    ├── AgentUnreachable        503  no connection, or it broke before a response
    ├── AgentTimeout            504  the agent sent nothing for too long
    │   └── QuickCommandTimeout 504  the Quick Command did not start, or not finish in time
    ├── ConversationLost        502  the agent used another conversation; clients never receive it
    ├── ContentFiltered         400  a content filter blocked the prompt or the whole answer
    ├── AgentRejected           400  the agent rejects the request for another reason
    ├── UploadForbidden         403  the account may not upload files
    ├── UploadFailed            502  a file could not be uploaded
    │   └── UploadUnknown       502  the agent does not know a file that was uploaded
    └── AgentFailed             502  the agent failed, before or within the response
        ├── ReplyCutOff         502  the response lacks its last frame; clients never receive it
        └── QuickCommandFailed  502  the Quick Command failed, or may have been started
"""

from __future__ import annotations


class StackspotError(Exception):
    """An error that is sent to the client.

    `message` states what failed and what to do; it contains no secret, token or prompt. `retryable`
    is True where the same call may succeed later, after `retry_after` seconds (None: unknown).
    `resend` is False where the SDK of a client should not send the request again by itself.
    `code` is OpenAI's code of the error, None where it has none. `was_sent`: no response arrived,
    but the platform may have received the request.
    """

    status_code = 500
    code: str | None = None
    retryable = False
    resend = True
    was_sent = False

    def __init__(self, message: str, *, status_code: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        if status_code is not None:
            self.status_code = status_code


class RequestError(StackspotError):
    """The request is malformed or asks for something unsupported; `param` names the field."""

    status_code = 400

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class PromptTooLong(StackspotError):
    """The prompt exceeds the model's context; `limit` and `actual` are the agent's token counts."""

    status_code = 400
    code = "context_length_exceeded"

    def __init__(self, message: str, *, limit: int | None = None, actual: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.actual = actual


class ModelUnknown(StackspotError):
    """The operator lists no agent under the name that was asked for."""

    status_code = 404
    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model {model[:100]!r} is not listed: ask for one of GET /v1/models. "
            "The proxy's operator lists agents in config.yaml."
        )


class ResponseUnknown(StackspotError):
    """No response or item of this id is kept for the API key; `param` names the request's field."""

    status_code = 404

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class ApprovedCallRuns(StackspotError):
    """An MCP call that was approved before runs still; a later request receives its outcome."""

    status_code = 409
    retryable = True


class ConfigurationError(StackspotError):
    """A setting is missing or invalid; the message names it and where to set it."""

    status_code = 503


class JobStoreUnavailable(StackspotError):
    """The job store is unusable: its disk is full, or Redis does not respond."""

    status_code = 503
    retryable = True


class ResponseStoreUnavailable(StackspotError):
    """The kept responses cannot be read: their file is locked, or Redis does not respond."""

    status_code = 503
    retryable = True


class IdentityError(StackspotError):
    """The identity service returned no token."""

    status_code = 503


class CredentialsRefused(IdentityError):
    """The gateway's StackSpot credentials are wrong.

    Not a 401: a client would take that for an error of its own API key.
    """

    status_code = 502


class IdentityUnavailable(IdentityError):
    """The identity service is unreachable, or returns no token."""

    retryable = True


class AgentError(StackspotError):
    """The agent failed, or the connection to it."""


class TokenRefused(AgentError):
    """HTTP 401 of the agent for a new token; not a 401 here, see CredentialsRefused."""

    status_code = 502


class AgentForbidden(AgentError):
    """HTTP 403 of the agent."""

    status_code = 403


class AgentNotFound(AgentError):
    """HTTP 404 of the agent."""

    status_code = 404


class QuickCommandForbidden(AgentForbidden):
    """HTTP 403 for a Quick Command."""


class QuickCommandNotFound(AgentNotFound):
    """HTTP 404 for a Quick Command."""


class RateLimited(AgentError):
    """HTTP 429 of the agent."""

    status_code = 429
    retryable = True


class QueueFull(RateLimited):
    """The gateway's own queue is full, or has no slot in time; the agent received no request."""


class QuotaExhausted(RateLimited):
    """HTTP 429 of the agent that names a window of more than an hour; no call waits for its end."""

    retryable = False
    resend = False


class CreditExhausted(AgentError):
    """HTTP 402 of the agent, or a refusal that names the credit limit; a retry cannot help."""

    status_code = 402


class AgentUnreachable(AgentError):
    """The connection to the agent failed, or broke before a response."""

    status_code = 503
    retryable = True


class AgentTimeout(AgentError):
    """The agent sent nothing, or did not finish, within the time limit."""

    status_code = 504
    retryable = True


class QuickCommandTimeout(AgentTimeout):
    """The execution did not start, or did not finish, in time; it is not started again."""

    retryable = False


class ConversationLost(AgentError):
    """The agent used another conversation than requested, so it lacks the earlier turns."""

    status_code = 502


class ContentFiltered(AgentError):
    """A content filter of the agent's model blocked the prompt, or all of the answer."""

    status_code = 400
    code = "content_policy_violation"


class AgentRejected(AgentError):
    """A 4xx of the agent that has no class of its own."""

    status_code = 400


class UploadForbidden(AgentError):
    """HTTP 403 of the file service: only enterprise accounts may upload files."""

    status_code = 403


class UploadFailed(AgentError):
    """The file service or its storage failed."""

    status_code = 502
    retryable = True


class UploadUnknown(UploadFailed):
    """The agent does not know an upload: it expired, or belongs to another account."""

    retryable = False


class AgentFailed(AgentError):
    """A 5xx of the agent, an error inside its response, or an unreadable response."""

    status_code = 502
    retryable = True


class ReplyCutOff(AgentFailed):
    """The response ended without a stop reason, although the agent sends one."""


class QuickCommandFailed(AgentFailed):
    """The platform reports the failure of an execution, its end without a result, or no start."""

    retryable = False
