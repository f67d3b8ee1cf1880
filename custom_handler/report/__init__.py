"""Read the telemetry of a run in `runs/`, and show it as a summary and as a page with plots."""

from .data import report_data
from .page import page
from .page_file import write_page
from .run_log import read_run, run_names
from .summary import summarize

__all__ = ["page", "read_run", "report_data", "run_names", "summarize", "write_page"]
