"""Reads what a run wrote down in `runs/`, and shows it: a summary, and a page with plots that needs nothing but a browser."""

from .page import page
from .run_log import read_run
from .summary import summarize

__all__ = ["page", "read_run", "summarize"]
