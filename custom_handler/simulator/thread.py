"""A simulator on a thread of its own, for tests and programs that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from .server import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import SimulatorSettings


class SimulatorThread:
    """Runs a simulator on a daemon thread: `with SimulatorThread() as simulator: simulator.url`."""

    def __init__(self, settings: SimulatorSettings | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self._simulator = Simulator(host, port, settings)
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="stackspot-simulator", daemon=True)

    @property
    def url(self) -> str:
        """The base URL of both hosts."""
        return self._simulator.url

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._simulator.port

    def start(self) -> SimulatorThread:
        """Return when it listens; raises OSError when the address is taken."""
        self._thread.start()
        self._started.result()
        return self

    def stop(self) -> None:
        """Break off the open streams and end the thread."""
        if self._thread.is_alive():
            self._started.result().call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self) -> SimulatorThread:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def script(self, *plays: dict[str, Any]) -> None:
        """Queue `plays`, as POST /control/script does; raises InvalidRequestError at a wrong one."""
        self._call(lambda: self._simulator.control.script(list(plays)))

    def requests(self, at: str | None = None, match: str | None = None) -> list[dict[str, Any]]:
        """The recorded requests, oldest first, as GET /control/requests gives them."""
        found: list[dict[str, Any]] = self._call(lambda: self._simulator.control.requests(at, match))
        return found

    def forget_requests(self) -> None:
        """Clear the recorded requests."""
        self._call(self._simulator.control.forget_requests)

    def conversations(self) -> list[dict[str, Any]]:
        """The conversations that are kept, as GET /control/conversations gives them."""
        kept: list[dict[str, Any]] = self._call(self._simulator.control.conversations)
        return kept

    def forget_conversations(self) -> None:
        """Lose every conversation, as DELETE /control/conversations does."""
        self._call(self._simulator.control.forget_conversations)

    def state(self) -> dict[str, Any]:
        """The counters, as GET /control/state gives them."""
        counters: dict[str, Any] = self._call(self._simulator.control.state)
        return counters

    def configure(self, **settings: Any) -> None:
        """Change some settings, as POST /control/settings does."""
        self._call(lambda: self._simulator.control.configure(settings))

    def revoke(self) -> None:
        """Revoke every issued token."""
        self._call(self._simulator.control.revoke)

    def uploads(self) -> list[dict[str, Any]]:
        """The files that were taken, as GET /control/uploads gives them."""
        files: list[dict[str, Any]] = self._call(self._simulator.control.uploads)
        return files

    def lose_uploads(self) -> None:
        """Lose every file, as when they expire."""
        self._call(self._simulator.control.lose_uploads)

    def reset(self) -> None:
        """Back to the first settings, without plays, records and counts."""
        self._call(self._simulator.control.reset)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._started.set_exception(error)

    async def _serve(self) -> None:
        async with self._simulator:
            self._started.set_result(asyncio.get_running_loop())
            await self._stop.wait()

    def _call(self, action: Callable[[], Any]) -> Any:
        async def act() -> Any:
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._started.result()).result()
