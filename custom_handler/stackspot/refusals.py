"""Classifies the error texts of the platform, which are those of the model vendors behind agents.

Only GPT 5's overflow text and StackSpot's own texts were seen through the platform (contract,
section 5); the others are the public texts of the vendors.
"""

from __future__ import annotations

import functools
import re

from ..data_class import data_class

_NUMBER = r"\d[\d,.]*(?<=\d)"
_LONGEST_TEXT = 4_000  # some patterns are quadratic


@functools.cache
def _compiled(texts: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Compile texts, once; L and P are the numbers `limit` and `prompt`, a blank is white space."""
    named = {"L": f"(?P<limit>{_NUMBER})", "P": f"(?P<prompt>{_NUMBER})", "N": _NUMBER}
    return tuple(
        re.compile(
            re.sub(r"\b[LPN]\b", lambda found: named[found[0]], text).replace(" ", r"\s+"),
            re.IGNORECASE | re.DOTALL,
        )
        for text in texts
    )


_OVERFLOWS = (
    r"limit of L tokens.*?resulted in P tokens",
    r"maximum context length is L tokens.*?resulted in P tokens",
    r"maximum context length is L tokens.*?prompt contains (?:at least )?P input tokens",  # vLLM, before the next one
    r"maximum context length is L tokens.*?you requested (?:about )?P tokens",
    r"prompt is too long: P tokens > L maximum",
    r"exceed context limit: P \+ N > L",
    r"Max input tokens: L, request input token count: P",
    r"prompt tokens \(P\) exceed model maximum \(L\)",
    r"input token count \(P\) exceeds the maximum number of tokens allowed \(L\)",
    r"Prompt contains P tokens.*?too large for model with L maximum context length",
    r"maximum prompt length is L but the request contains P",
    r"input \(P tokens\) is longer than the model's context length \(L",
    r"Input length \(?P\)? exceeds (?:the )?(?:model's )?maximum (?:context|allowed input) length(?: of)? \(?L",
    r"prompt token count of P exceeds the limit of L",
    r"exceeded model token limit: L \(requested: P\)",
    r"Current length is P while limit is L",
    r"Input too long: P input tokens, limit is L",
    (
        r"Invalid '(?:messages|input)\b[^']*': string too long\. Expected a string with maximum length L, "
        r"but got a string with length P"
    ),
    # Texts without numbers, and the texts above in another wording.
    r"exceeds the context window",
    r"\b(?:model_)?context_(?:length|window)_exceeded",
    r"\brequest_too_large\b",
    r"Input is too long for requested model",
    r"reduce the length of (?:the|your) (?:messages|prompt)",
    r"prompt is too long",
    r"prompt too long; exceeded (?:max )?context length",
    r"too many input tokens",
    r"maximum context length (?:is|of)",
    r"exceeds (?:the )?(?:model's )?maximum context length",
    r"exceeds the available context size",
    r"greater than the context length",
    r"context window exceeds limit",
    r"exceed context limit",
    r"range of input length should be",
)
_NO_OVERFLOW = (
    r"rate.?limit",
    r"throttl",
    r"too many requests",
    r"tokens per (?:min|day|hour|second)",
    r"\bquota\b",
    r"requests in the last",
    # The output setting of the agent: a shorter prompt does not help.
    r"maximum tokens you requested",
    r"max_\w*tokens\W+(?:or\W+max_\w*tokens\W+)?is too large",
)
_CONTENT_FILTERS = (
    r"triggering (?:Azure OpenAI|Microsoft)'s content management policy",
    r"\bcontent_filter(?:ed)?\b",
    r"\bResponsibleAIPolicyViolation\b",
    r"flagged as potentially violating our usage policy",
    r"result of our safety system",
    r"\bcontent_policy_violation\b",
    r"blocked by (?:our |the )?content filter",
    r"\bPROHIBITED_CONTENT\b",
    r"blocked due to safety",
    r"\bguardrail_intervened\b",
    r"\bdata_inspection_failed\b",
    r"\bContent Exists Risk\b",
)
_NO_CONTENT_FILTER = (  # about a parameter of this name, or a filter that is out of order
    (
        r"(?:unknown|unrecogni[sz]ed|unsupported|unexpected|invalid|missing|extra) "
        r"\W{0,3}(?:\w+\W+){0,3}content_filter"
    ),
    r"content_filter\W{1,3}(?:is|was|are|must|should|has|parameter|field|argument|key|setting|option)\b",
    r"content.filter\w*(?: \w+){0,3} (?:unavailable|not available|timed out|timeout|down|failed|could not)\b",
)
_WINDOW = re.compile(
    rf"limit is ({_NUMBER}) requests in the last ({_NUMBER}) (minute|hour|day)s?\b".replace(" ", r"\s+"), re.IGNORECASE
)
_MINUTES = {"minute": 1, "hour": 60, "day": 1440}
_TOO_MANY = (
    r"maximum number of requests reached",
    rf"limit is {_NUMBER} requests in the last {_NUMBER} (?:minute|hour|day)",
)
_CREDIT = (r"credits? limit (?:has been |have been |was |is )?(?:reached|exceeded|exhausted)",)
_FILTER_REASONS = frozenset(
    {"content_filter", "content_filtered", "refusal", "guardrail_intervened", "safety", "prohibited_content"}
)


@data_class
class Overflow:
    """A prompt that exceeds the model's context, with counts in tokens; None where unknown."""

    limit: int | None = None
    prompt: int | None = None


def overflow(text: str) -> Overflow | None:
    """Return the overflow that an error text reports, None for any other text.

    >>> overflow("prompt is too long: 208,310 tokens > 200000 maximum")
    Overflow(limit=200000, prompt=208310)
    >>> overflow("ThrottlingException: Too many tokens, please wait") is None
    True
    """
    text = text[:_LONGEST_TEXT]
    if _matches(_NO_OVERFLOW, text):
        return None
    for pattern in _compiled(_OVERFLOWS):
        if (found := pattern.search(text)) is not None:
            numbers = found.groupdict()
            return Overflow(_count(numbers.get("limit")), _count(numbers.get("prompt")))
    return None


def is_content_filter(text: str) -> bool:
    """Return whether an error text reports that a content filter blocked a prompt or an answer.

    >>> is_content_filter("Output blocked by content filtering policy")
    True
    >>> is_content_filter("Unknown parameter: 'content_filter'")
    False
    """
    text = text[:_LONGEST_TEXT]
    return _matches(_CONTENT_FILTERS, text) and not _matches(_NO_CONTENT_FILTER, text)


def is_filter_reason(stop_reason: str | None) -> bool:
    """Return whether a stop reason is that of a content filter.

    >>> is_filter_reason("SAFETY")
    True
    """
    return stop_reason is not None and stop_reason.lower() in _FILTER_REASONS


def is_credit_exhausted(text: str) -> bool:
    """Return whether an error text reports that the account has no credit left."""
    return _matches(_CREDIT, text[:_LONGEST_TEXT])


def is_request_limit(text: str) -> bool:
    """Return whether an error text is the platform's about a limit of requests.

    >>> is_request_limit("Maximum number of requests reached.")
    True
    """
    return _matches(_TOO_MANY, text[:_LONGEST_TEXT])


@data_class
class WindowLimit:
    """A limit of the platform: so many requests in so many minutes."""

    requests: int
    minutes: int


def request_window(text: str) -> WindowLimit | None:
    """Return the limit that the text of a 429 names, None where it names none.

    >>> request_window("Your limit is 100 requests in the last 1440 minutes")
    WindowLimit(requests=100, minutes=1440)
    """
    if (found := _WINDOW.search(text[:_LONGEST_TEXT])) is None:
        return None
    requests, number = _count(found[1]), _count(found[2])
    return WindowLimit(requests or 0, (number or 0) * _MINUTES[found[3].lower()])


def _matches(texts: tuple[str, ...], text: str) -> bool:
    return any(pattern.search(text) for pattern in _compiled(texts))


def _count(digits: str | None) -> int | None:
    return None if digits is None else int(re.sub(r"[,.]", "", digits)[:18])
