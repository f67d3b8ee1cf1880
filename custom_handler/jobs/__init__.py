"""Background jobs: lists of questions, stored, answered by workers, and resumed after a crash."""

import sys
from importlib import import_module
from typing import Any


def _import_huey() -> None:
    """Import huey without psycopg, which it would load for a storage that no job uses.

    That costs 8 MiB of each process, and 50 ms of its start.
    """
    if "huey" in sys.modules or "psycopg" in sys.modules:
        return
    modules: dict[str, Any] = sys.modules
    modules["psycopg"] = None  # an import of it fails
    try:
        import_module("huey")
    finally:
        del modules["psycopg"]


_import_huey()
