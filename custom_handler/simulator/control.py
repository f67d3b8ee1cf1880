"""What tests and demos can ask of a running simulator, over HTTP or from another thread.

The routes take a JSON object or a query with the arguments of the method, and return JSON. They
need no authorization.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .conversations import Conversations
from .scripted import ScriptedResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .app import SimulatorApp


class Control:
    """The operations of the routes, as JSON values; invalid arguments raise ValueError."""

    def __init__(self, app: SimulatorApp) -> None:
        self._app = app
        self._first_settings = app.settings

    def script(self, plays: list[dict[str, Any]]) -> dict[str, Any]:
        """Queue scripted responses, all or none."""
        if not isinstance(plays, list):
            raise TypeError("plays must be a list")
        self._app.scripts += [ScriptedResponse.model_validate(play) for play in plays]
        return {"queued": len(self._app.scripts)}

    def requests(self, at: str | None = None, match: str | None = None) -> list[dict[str, Any]]:
        """Return the requests, oldest first: at one endpoint, and with a text in the prompt."""
        return self._app.recorder.find(at, match)

    def forget_requests(self) -> None:
        """Remove the recorded requests."""
        self._app.recorder.records.clear()

    def conversations(self) -> list[dict[str, Any]]:
        """Return agent, id and size of each conversation."""
        return self._app.conversations.list()

    def forget_conversations(self) -> None:
        """Lose every conversation; see the setting `lost_conversation`."""
        self._app.conversations.lose()

    def state(self) -> dict[str, Any]:
        """Return the counters and the number of scripted responses that wait."""
        return asdict(self._app.recorder.counters) | {"plays_waiting": len(self._app.scripts)}

    def revoke(self) -> None:
        """Revoke every token issued so far."""
        self._app.issuer.revoke_all()

    def uploads(self) -> list[dict[str, Any]]:
        """Return the stored files in their order."""
        return list(self._app.uploads.files.values())

    def lose_uploads(self) -> None:
        """Lose every file, as when they expire."""
        self._app.uploads.files.clear()

    def settings(self) -> dict[str, Any]:
        """Return the current settings."""
        return self._app.settings.model_dump()

    def configure(self, /, **values: Any) -> dict[str, Any]:
        """Change some settings for the requests to come."""
        self._app.settings = self._app.settings.changed(values)
        return self.settings()

    def reset(self) -> None:
        """Restore the first settings; remove scripts and records, but neither tokens nor files."""
        self._app.settings = self._first_settings
        self._app.scripts.clear()
        self._app.recorder.reset()
        self._app.conversations = Conversations()
        self._app.request_times.clear()


def control_routes(control: Control) -> list[web.RouteDef]:
    """Return the routes under /control."""
    actions: list[tuple[str, str, Callable[..., Any]]] = [
        ("POST", "/control/script", control.script),
        ("GET", "/control/requests", control.requests),
        ("DELETE", "/control/requests", control.forget_requests),
        ("GET", "/control/conversations", control.conversations),
        ("DELETE", "/control/conversations", control.forget_conversations),
        ("GET", "/control/state", control.state),
        ("POST", "/control/revoke", control.revoke),
        ("GET", "/control/uploads", control.uploads),
        ("DELETE", "/control/uploads", control.lose_uploads),
        ("GET", "/control/settings", control.settings),
        ("POST", "/control/settings", control.configure),
        ("DELETE", "/control", control.reset),
    ]
    return [web.route(method, path, _as_json(action)) for method, path, action in actions]


def _as_json(action: Callable[..., Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            arguments = json.loads(await request.read() or b"{}") if request.method == "POST" else request.query
            result = action(**arguments)
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({} if result is None else result)

    return handle
