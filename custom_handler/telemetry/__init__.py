"""What is written down about each call, in `runs/`: a folder for each run, a line for each call."""

from .callback import Observer

__all__ = ["Observer"]
