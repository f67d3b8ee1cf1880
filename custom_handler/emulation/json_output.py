"""JSON answers (`response_format`): the prompt's instruction, and the validation of the answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from ..data_class import data_class
from ..errors import RequestError

MAX_SCHEMA_CHARACTERS = 200_000

logger = logging.getLogger(__name__)


class InvalidJsonAnswer(ValueError):
    """The answer is not the requested JSON; the message is the reason, for the repair prompt."""


@data_class
class JsonFormat:
    """The requested JSON: valid against `schema`, or any object if that is empty.

    Raises RequestError for an invalid schema. A schema of more than MAX_SCHEMA_CHARACTERS is sent
    to the agent, but neither it nor an answer is validated.

    >>> JsonFormat({}).read('Here it is: {"city": "Recife",}')
    '{"city":"Recife"}'
    """

    schema: Mapping[str, Any]
    _text: str = field(init=False, repr=False, compare=False)  # the schema as JSON

    def __post_init__(self) -> None:
        text, error = _read_schema(self.schema)
        if error:
            where = "response_format.json_schema.schema"
            raise RequestError(f"{where} is no JSON Schema: {error}.", param=where)
        object.__setattr__(self, "_text", text)

    def instruction(self) -> str:
        """Return the prompt's instruction."""
        asked = f"Reply with one JSON {self._kind} and nothing else: no prose, no code fence."
        if not self.schema:
            return asked
        return f"{asked} It has to be valid against this JSON Schema:\n{self._text}"

    def read(self, text: str) -> str:
        """Return the only valid JSON in an answer's text, made strict; raises InvalidJsonAnswer.

        The whole text is read first, then each code fence, list and object in it.
        """
        from .embedded_json import embedded, parse, without_thought  # noqa: PLC0415  only JSON answers need it

        text = text.strip().removeprefix("\ufeff")
        if (found := parse(text)) is None and (answer := without_thought(text)):
            text, found = answer, parse(answer)
        values = [found] if found is not None else list(embedded(text))
        checked = [(value, strict, self._error(value)) for value, strict in values]
        errors = [(len(strict), error) for _, strict, error in checked if error]
        valid = {json.dumps(value, sort_keys=True): strict for value, strict, error in reversed(checked) if not error}
        if len(valid) == 1:
            return valid.popitem()[1]
        if valid:
            raise InvalidJsonAnswer(f"it contains {len(valid)} different JSON {self._kind}s, not one")
        raise InvalidJsonAnswer(max(errors)[1] if errors else f"it is not one JSON {self._kind}")

    @property
    def _kind(self) -> str:
        """The JSON type of the answer, or `value` if the schema allows several."""
        if not self.schema:
            return "object"
        from .schema_types import allowed_types  # noqa: PLC0415  it imports the prompt, which imports this module

        kinds = allowed_types(self.schema, self.schema) or ()
        return next(iter(kinds)).replace("integer", "number") if len(kinds) == 1 else "value"

    def _error(self, value: object) -> str:
        if not self.schema:
            return "" if isinstance(value, dict) else "it is JSON, but not an object"
        if len(self._text) > MAX_SCHEMA_CHARACTERS:
            return ""
        from .json_schema import value_error  # noqa: PLC0415  see there

        return value_error(value, self.schema)


def compact(value: object) -> str:
    """Return JSON without optional white space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _read_schema(schema: Mapping[str, Any]) -> tuple[str, str]:
    """Return a schema as JSON, and why it is invalid, or an empty string."""
    if not schema:
        return "", ""
    from .json_schema import schema_error  # noqa: PLC0415  see there

    try:
        text = compact(schema)
        if len(text) <= MAX_SCHEMA_CHARACTERS:
            return text, schema_error(text)
    except RecursionError:
        return "", "it is nested too deep"
    logger.warning(
        "A JSON Schema of %d characters and the answer are not checked: it has more than %d characters",
        len(text),
        MAX_SCHEMA_CHARACTERS,
    )
    return text, ""
