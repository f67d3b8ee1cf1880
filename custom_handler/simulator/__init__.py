"""A simulator of StackSpot for demos, tests and benchmarks: identity, agents and files.

It issues signed tokens that expire, streams replies with a realistic cadence, and fails as a script
asks for (`scripted.py`). Without a script, a small agent replies (`agent.py`).
"""

from .server import Simulator
from .settings import SimulatorSettings
from .thread import SimulatorThread

__all__ = ["Simulator", "SimulatorSettings", "SimulatorThread"]
