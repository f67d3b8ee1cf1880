"""Scripted responses: what a test or a demo asks the simulator to do with coming requests.

A script is a list of JSON objects with the fields of `ScriptedResponse`. A request consumes the
first one with the same `at` whose `match` is in its prompt (at "token": in its client id; at
"upload": in the file name; at "storage" and "agents": in the path; at "execution", which creates
one of a Quick Command, and at "callback", which polls it: in the slug or the id). At these only an
HTTP response or a fault before it can be scripted.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, InstanceOf, PositiveInt, model_validator

FaultBeforeResponse: TypeAlias = Literal["reset_before", "close_before", "hang_headers", "html_502"]
OtherFault: TypeAlias = Literal[
    "reset_within",
    "close_within",
    "stall",
    "truncated_utf8",
    "endless_empty",
    "endless_text",
    "endless_frame",
    "error_frame",
    "error_event",
    "null_message",
    "json_body",
    "openai_shape",
    "bad_frame",
    "surrogate",
    "big_line",
]
BEFORE_RESPONSE = frozenset(get_args(FaultBeforeResponse))
FAULTS = BEFORE_RESPONSE | frozenset(get_args(OtherFault))

Text: TypeAlias = InstanceOf[str]  # pydantic's own check of str rejects lone surrogates


def _decode(value: Any) -> bytes:
    return base64.b64decode(value, validate=True)


class ScriptedResponse(BaseModel):
    """One scripted response; times are seconds. A field that is not set changes nothing."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    at: Literal["chat", "token", "upload", "storage", "agents", "execution", "callback"] = "chat"
    match: str | None = None
    times: PositiveInt | Literal["always"] = 1

    status: int | None = None
    headers: dict[str, Annotated[str, BeforeValidator(str)]] = {}
    body: Any = None

    text: Text | None = None
    pieces: list[Text] | None = None
    frames: list[Any] | None = None
    raw: list[Annotated[bytes, BeforeValidator(_decode)]] | None = None
    # Fields of the first and of the last frame, in place of the simulator's.
    first: dict[str, Any] = {}
    final: dict[str, Any] = {}
    # Send all fields in every frame.
    fat: bool = False
    # Replace each piece by the time it is sent, in seconds of the monotonic clock.
    stamped: bool = False
    stop_reason: Any = "stop"
    tokens: Any = None
    omit_final: bool = False
    done: bool = False

    line_ending: Literal["\n", "\r\n", "\r"] = "\n"
    # Bytes per write.
    cut: PositiveInt | None = None
    # Frames per write.
    burst: PositiveInt | None = None
    delay_headers: float = 0
    delay_first: float | None = None
    cadence: float | None = None
    fault: FaultBeforeResponse | OtherFault | None = None
    # Pieces sent before the fault.
    after: int = 1

    # Fields of a token response.
    expires_in: Any = None
    token: Literal["jwt", "opaque", "without_times"] = "jwt"
    html: bool = False
    empty: bool = False

    @model_validator(mode="after")
    def _check_fault(self) -> ScriptedResponse:
        if self.at != "chat" and self.fault is not None and self.fault not in BEFORE_RESPONSE:
            raise ValueError(f"at {self.at!r} only these faults are possible: {sorted(BEFORE_RESPONSE)}")
        return self

    def sets(self, name: str) -> bool:
        """Return whether the script names this field, even as null."""
        return name in self.model_fields_set

    @property
    def is_http_response(self) -> bool:
        """Whether the script replaces the reply by an HTTP response of its own."""
        return self.sets("body") or (self.status is not None and self.status >= 400)


def take_script(waiting: list[ScriptedResponse], at: str, text: str) -> ScriptedResponse | None:
    """Return the first response for this endpoint and text, and use one of its `times` up."""
    for index, scripted in enumerate(waiting):
        if scripted.at == at and (scripted.match is None or scripted.match in text):
            if scripted.times == 1:
                del waiting[index]
            elif isinstance(scripted.times, int):
                waiting[index] = scripted.model_copy(update={"times": scripted.times - 1})
            return scripted
    return None
