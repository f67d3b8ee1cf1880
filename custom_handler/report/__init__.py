"""Read the telemetry of a run in `runs/` and write a summary, and an HTML page with plots."""

from .page import page
from .page_file import write_page
from .run_log import read_run
from .summary import summarize

__all__ = ["page", "read_run", "summarize", "write_page"]
