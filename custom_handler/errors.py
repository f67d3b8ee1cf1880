"""The errors of this package, each with the HTTP status a client is given for it.

StackspotError
├── RequestError                400  request   what the caller sent cannot be served
├── PromptTooLong               400  agent     the conversation does not fit into the agent's model
├── ConfigurationError          503  identity  a setting is missing or unusable
├── JobStoreUnavailable         503  queue     jobs can be neither read nor written right now
├── IdentityError
│   ├── CredentialsRefused      502  identity  StackSpot refuses the gateway's own credentials
│   └── IdentityUnavailable     503  identity  no token can be had right now
└── AgentError
    ├── TokenRefused            502  agent     the agent refuses a token that is fresh
    ├── AgentForbidden          403  agent     the agent is not shared with this account
    ├── AgentNotFound           404  agent     there is no such agent
    ├── RateLimited             429  agent     the account's requests of this minute are used up
    │   └── QueueFull           429  queue     the gateway keeps to the account's limits, and there is no place in time
    ├── CreditExhausted         402  agent     the account has no credit left
    ├── AgentUnreachable        503  agent     no connection, or it broke before an answer
    ├── AgentTimeout            504  agent     the agent stayed silent for too long
    ├── ConversationLost        502  agent     the agent goes on in another conversation; a client never sees it
    ├── AgentRejected           400  agent     the agent refuses the request for another reason
    ├── UploadForbidden         403  agent     the account may not upload files
    ├── UploadFailed            502  agent     a file could not be uploaded
    │   └── UploadUnknown       502  agent     the agent does not know a file that was uploaded
    └── AgentFailed             502  agent     the agent's side failed, before or within the answer
"""

from __future__ import annotations


class StackspotError(Exception):
    """Something that a client is told about.

    `message` says what happened and what to do, and never holds a secret, a token or a prompt. `retryable` tells whether
    the same call may succeed later, `retry_after` in how many seconds at the earliest (None: unknown).
    """

    status_code = 500
    retryable = False
    where = "agent"

    def __init__(self, message: str, *, status_code: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        if status_code is not None:
            self.status_code = status_code


class RequestError(StackspotError):
    """The caller's request is malformed or asks for what this provider cannot do."""

    status_code = 400
    where = "request"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class PromptTooLong(StackspotError):
    """The agent's model cannot take so long a prompt; `limit` and `actual` are its own figures, in tokens."""

    status_code = 400

    def __init__(self, message: str, *, limit: int | None = None, actual: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.actual = actual


class ConfigurationError(StackspotError):
    """A setting is missing or unusable; the message names it and where to put it."""

    status_code = 503
    where = "identity"


class JobStoreUnavailable(StackspotError):
    """The job store cannot be used: its disk is full, or Redis does not answer."""

    status_code = 503
    retryable = True
    where = "queue"


class IdentityError(StackspotError):
    """No token could be had from the identity service."""

    status_code = 503
    where = "identity"


class CredentialsRefused(IdentityError):
    """The gateway's own StackSpot credentials are wrong: never a 401, which a client reads as its own key being wrong."""

    status_code = 502


class IdentityUnavailable(IdentityError):
    """The identity service cannot be reached, or does not give a token."""

    retryable = True


class AgentError(StackspotError):
    """The agent, or the way to it, failed."""


class TokenRefused(AgentError):
    """HTTP 401 of the agent for a fresh token: never a 401, see CredentialsRefused."""

    status_code = 502


class AgentForbidden(AgentError):
    """HTTP 403 of the agent."""

    status_code = 403


class AgentNotFound(AgentError):
    """HTTP 404 of the agent."""

    status_code = 404


class RateLimited(AgentError):
    """HTTP 429 of the agent."""

    status_code = 429
    retryable = True


class QueueFull(RateLimited):
    """The gateway's own queue has no place, or none in time; the agent was not asked."""

    where = "queue"


class CreditExhausted(AgentError):
    """HTTP 429 of the agent with the word credit: trying again is useless."""

    status_code = 402


class AgentUnreachable(AgentError):
    """There was no connection to the agent, or it broke before an answer."""

    status_code = 503
    retryable = True


class AgentTimeout(AgentError):
    """The agent stayed silent for too long."""

    status_code = 504
    retryable = True


class ConversationLost(AgentError):
    """The agent answers in another conversation than it was asked in: it does not know what was said before."""

    status_code = 502


class AgentRejected(AgentError):
    """A 4xx of the agent that has no name of its own."""

    status_code = 400


class UploadForbidden(AgentError):
    """HTTP 403 of the file service: files are for enterprise accounts."""

    status_code = 403


class UploadFailed(AgentError):
    """The file service or its storage failed."""

    status_code = 502
    retryable = True


class UploadUnknown(UploadFailed):
    """The agent does not know an upload: it has expired, or belongs to another account."""

    retryable = False


class AgentFailed(AgentError):
    """A 5xx of the agent, an error inside its answer, or an answer that cannot be read."""

    status_code = 502
    retryable = True
