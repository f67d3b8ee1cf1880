"""Measure how well a model follows the client's protocol: tool calls, loops, JSON, injections."""

from .compact import comparisons, with_compact_models
from .contender import Contender, contenders
from .page import page
from .results import ResultFile, summarize
from .runner import Progress, run
from .task import Task, read_tasks
from .tasks import built_in_tasks

__all__ = [
    "Contender",
    "Progress",
    "ResultFile",
    "Task",
    "built_in_tasks",
    "comparisons",
    "contenders",
    "page",
    "read_tasks",
    "run",
    "summarize",
    "with_compact_models",
]
