"""What is written down about each call, in `runs/`: a folder for each run, a line for each call."""

from .interaction import Interactions
from .journal import Journal
from .run import Run

__all__ = ["Interactions", "Journal", "Run"]
