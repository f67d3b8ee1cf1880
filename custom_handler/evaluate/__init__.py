"""Measure how well a model follows the client's protocol: tool calls, loops, JSON, injections."""

from .page import page
from .results import ResultFile, summarize
from .runner import Progress, run
from .task import Task, read_tasks
from .tasks import built_in_tasks

__all__ = ["Progress", "ResultFile", "Task", "built_in_tasks", "page", "read_tasks", "run", "summarize"]
