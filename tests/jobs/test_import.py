"""What the import of the jobs loads."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import custom_handler.jobs.queue
assert "huey" in sys.modules and "psycopg" not in sys.modules, sorted(sys.modules)
import psycopg
"""


def test_the_database_driver_is_left_to_those_who_use_it() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)
