"""Validates the other parameters of a request: supported, rejected, and ignored ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..data_class import data_class
from ..errors import RequestError

_NUMBER, _INTEGER, _STRING, _OBJECT = (int, float), (int,), (str,), (Mapping,)
_EFFORT = (str, Mapping)  # an object on /v1/responses
_KINDS: Mapping[tuple[type, ...], str] = {
    _NUMBER: "a number",
    _INTEGER: "a whole number",
    _STRING: "a string",
    _OBJECT: "an object",
    _EFFORT: "a string or an object",
}

# The agent's own settings decide these. Many clients send them, so they are accepted and logged.
_IGNORED: Mapping[str, tuple[type, ...]] = {
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "seed": _INTEGER,
    "logit_bias": _OBJECT,
    "reasoning_effort": _EFFORT,
    "verbosity": _STRING,
    "user": _STRING,
    "metadata": _OBJECT,
    "prediction": _OBJECT,
    "service_tier": _STRING,
    "web_search_options": _OBJECT,
}
_TYPES: Mapping[str, tuple[type, ...]] = {**_IGNORED, "suffix": _STRING}

# APIs take 4 to some hundred; the answer is searched for all of them with each delta.
MAX_STOPS = 100
MAX_STOP_CHARACTERS = 10_000


@data_class
class Parameters:
    """The parameters of one request.

    `max_tokens` limits the answer. `json_schema` is the schema of a JSON answer, empty for any
    object, None for text. The answer ends before `suffix` (/v1/completions). `ignored` names
    parameters without effect.
    """

    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    parallel_tool_calls: bool = True
    json_schema: Mapping[str, Any] | None = None
    suffix: str = ""
    ignored: tuple[str, ...] = ()

    @classmethod
    def from_openai(cls, params: Mapping[str, Any]) -> Parameters:
        """Return the parameters; raises RequestError for a wrong type or unsupported one."""
        _reject_unsupported(params)
        given = [name for name in _TYPES if params.get(name) is not None]
        for name in given:
            _check_type(name, params[name], _TYPES[name])
        return cls(
            stop=_stop(params.get("stop")),
            max_tokens=_max_tokens(params),
            parallel_tool_calls=_parallel(params.get("parallel_tool_calls")),
            json_schema=_json_schema(params.get("response_format")),
            suffix=params.get("suffix") or "",
            ignored=tuple(name for name in given if name in _IGNORED),
        )


def _check_type(name: str, value: object, kind: tuple[type, ...]) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise RequestError(f"{name} must be {_KINDS[kind]}.", param=name)


def _reject_unsupported(params: Mapping[str, Any]) -> None:
    """Raise RequestError for parameters whose result the client would miss in the answer."""
    count = params.get("n")
    if count is not None and (isinstance(count, bool) or count != 1):
        raise RequestError("n must be 1: a StackSpot agent gives one answer to a question.", param="n")
    for name in ("logprobs", "top_logprobs"):
        if params.get(name):
            raise RequestError(
                f"{name} is not supported: a StackSpot agent returns no probabilities. Leave it out.", param=name
            )
    if params.get("modalities") not in (None, [], ["text"]):
        raise RequestError('modalities must be ["text"]: a StackSpot agent writes text only.', param="modalities")
    if params.get("audio"):
        raise RequestError("audio is not supported: a StackSpot agent writes text only. Leave it out.", param="audio")


def _max_tokens(params: Mapping[str, Any]) -> int | None:
    name = "max_tokens" if params.get("max_completion_tokens") is None else "max_completion_tokens"
    limit = params.get(name)
    if limit is None:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise RequestError(f"{name} must be a whole number above zero.", param=name)
    return limit


def _parallel(given: object) -> bool:
    if not isinstance(given, bool | None):
        raise RequestError("parallel_tool_calls must be true or false.", param="parallel_tool_calls")
    return given is not False


def _stop(given: object) -> tuple[str, ...]:
    stops = (given,) if isinstance(given, str) else () if given is None else given
    if not isinstance(stops, Sequence) or not all(isinstance(stop, str) for stop in stops):
        raise RequestError("stop must be a string or a list of strings.", param="stop")
    if len(stops) > MAX_STOPS or sum(map(len, stops)) > MAX_STOP_CHARACTERS:
        raise RequestError(
            f"stop has more than {MAX_STOPS} sequences or {MAX_STOP_CHARACTERS} characters: send fewer.", param="stop"
        )
    return tuple(filter(None, stops))


def _json_schema(given: object) -> Mapping[str, Any] | None:
    if given is None:
        return None
    kind = given.get("type") if isinstance(given, Mapping) else None
    if kind in ("text", "json_object"):
        return None if kind == "text" else {}
    described = given.get("json_schema") if isinstance(given, Mapping) and kind == "json_schema" else None
    schema = described.get("schema", {}) if isinstance(described, Mapping) else None
    if not isinstance(schema, Mapping):
        message = "response_format must be of type text, json_object, or json_schema with a json_schema.schema."
        raise RequestError(message, param="response_format")
    return schema
