"""What is written down about each call, in `runs/`: a folder for each run, a line for each call."""

from .callback import TelemetryCallback

__all__ = ["TelemetryCallback"]
