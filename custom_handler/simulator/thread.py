"""A simulator on a thread of its own, for tests and programs that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from .control import Control
from .server import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from .app import Replies
    from .settings import SimulatorSettings

P = ParamSpec("P")
T = TypeVar("T")


def _on_its_loop(method: Callable[Concatenate[Control, P], T]) -> Callable[Concatenate[SimulatorThread, P], T]:
    """Return a method that runs a method of `Control` on the simulator's event loop."""

    def call(self: SimulatorThread, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async def run() -> T:
            return method(self.simulator.control, *args, **kwargs)

        return asyncio.run_coroutine_threadsafe(run(), self.started.result()).result()

    return call


class SimulatorThread:
    """Run a simulator on a daemon thread; its methods call those of `Control`.

    Examples:
        >>> with SimulatorThread() as simulator:
        ...     simulator.script({"text": "Olá!"})
        ...     simulator.state()["plays_waiting"]
        1
    """

    def __init__(
        self,
        settings: SimulatorSettings | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        replies: Replies | None = None,
    ) -> None:
        self.simulator = Simulator(host, port, settings, replies)
        self.started: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="stackspot-simulator", daemon=True)

    _queue = _on_its_loop(Control.script)
    requests = _on_its_loop(Control.requests)
    forget_requests = _on_its_loop(Control.forget_requests)
    conversations = _on_its_loop(Control.conversations)
    forget_conversations = _on_its_loop(Control.forget_conversations)
    state = _on_its_loop(Control.state)
    configure = _on_its_loop(Control.configure)
    revoke = _on_its_loop(Control.revoke)
    uploads = _on_its_loop(Control.uploads)
    lose_uploads = _on_its_loop(Control.lose_uploads)
    reset = _on_its_loop(Control.reset)

    def script(self, *plays: dict[str, Any]) -> None:
        """Queue scripted responses."""
        self._queue(list(plays))

    @property
    def url(self) -> str:
        """The base URL of both hosts."""
        return self.simulator.url

    @property
    def port(self) -> int:
        """The port of the server."""
        return self.simulator.port

    def start(self) -> SimulatorThread:
        """Return when the server listens; raises OSError if the address is in use."""
        self._thread.start()
        self.started.result()
        return self

    def stop(self) -> None:
        """Cancel the open streams and end the thread."""
        if self._thread.is_alive():
            self.started.result().call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self) -> SimulatorThread:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self.started.set_exception(error)

    async def _serve(self) -> None:
        async with self.simulator:
            self.started.set_result(asyncio.get_running_loop())
            await self._stop.wait()
