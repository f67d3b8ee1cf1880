"""A StackSpot stand-in: identity host, agents and files in one process, for demos, tests and benchmarks.

It plays every row of the wire contract: real signed tokens that expire, streams cut anywhere, refusals and
broken connections, as scripted by plays (`scripted.py`); without a script a small agent answers (`agent.py`).
"""

from .server import Simulator, serve
from .settings import SimulatorSettings
from .thread import SimulatorThread

__all__ = ["Simulator", "SimulatorSettings", "SimulatorThread", "serve"]
