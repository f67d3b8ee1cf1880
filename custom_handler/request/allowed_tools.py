"""The tools that an entry of an MCP server allows, in the forms of OpenAI's `allowed_tools`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data_class import data_class

FORMS = "a list of names, or an object with tool_names (a list of names), read_only: true, or both"


@data_class
class AllowedTools:
    """Those of some names, all for None; with `read_only`, of these the ones that change nothing.

    >>> AllowedTools.of_entry({"allowed_tools": {"tool_names": ["now"]}})
    AllowedTools(names=('now',), read_only=False)
    """

    names: tuple[str, ...] | None = None
    read_only: bool = False

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> AllowedTools:
        """Return what an entry of `tools` allows. Raises ValueError for an unknown form."""
        given = entry.get("allowed_tools")
        if given is None:
            return cls()
        fields = {"tool_names": given} if isinstance(given, list) else given
        if not isinstance(fields, Mapping) or not fields or not fields.keys() <= {"tool_names", "read_only"}:
            raise ValueError(FORMS)
        names, read_only = fields.get("tool_names", ()), fields.get("read_only", True)
        if (
            not isinstance(names, list | tuple)
            or read_only is not True
            or not all(isinstance(one, str) for one in names)
        ):
            raise ValueError(FORMS)
        return cls(tuple(names) if "tool_names" in fields else None, "read_only" in fields)
