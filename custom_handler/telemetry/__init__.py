"""Record each call in `runs/`, in the log and in metrics: a folder per run, a line per call."""

from .callback import TelemetryCallback

__all__ = ["TelemetryCallback"]
