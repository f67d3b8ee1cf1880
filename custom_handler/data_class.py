"""The decorator of the package's values."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # Python 3.10 lacks it, and only mypy reads what it says
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        """Return a decorator that changes nothing."""
        return lambda decorator: decorator


Value = TypeVar("Value")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def data_class(cls: type[Value]) -> type[Value]:
    """Make a data class with slots that is compared, and can be a key, by its fields.

    mypy refuses an assignment to its fields. With `frozen=True` Python would do so, too; for that
    it compiles three more functions for each class, which were a quarter of the package's import.
    """
    made = dataclass(slots=True)(cls)
    compared = attrgetter(*(one.name for one in fields(made) if one.compare))  # type: ignore[arg-type]

    def hash_of(value: Value) -> int:
        return hash(compared(value))

    made.__hash__ = hash_of  # type: ignore[assignment]
    return made
