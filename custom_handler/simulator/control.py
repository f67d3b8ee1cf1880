"""What tests and demos may ask of a running simulator, over HTTP or from another thread."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequestError
from .scripted import read_play

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .app import SimulatorApp


class Control:
    """Scripts, records and settings of a stand-in, in JSON values; a wrong one raises InvalidRequestError."""

    def __init__(self, stand_in: SimulatorApp) -> None:
        self._stand_in = stand_in
        self._first_settings = stand_in.settings

    def script(self, plays: Any) -> dict[str, Any]:
        """Queue `plays`, all or none."""
        if not isinstance(plays, list):
            raise InvalidRequestError("plays must be a list")
        self._stand_in.plays.add([read_play(play) for play in plays])
        return {"queued": len(self._stand_in.plays)}

    def requests(self, at: str | None = None, match: str | None = None) -> list[dict[str, Any]]:
        """The recorded requests, oldest first."""
        return self._stand_in.recorder.found(at, match)

    def forget_requests(self) -> dict[str, Any]:
        """Clear the recorded requests."""
        self._stand_in.recorder.clear()
        return {}

    def conversations(self) -> list[dict[str, Any]]:
        """The conversations that are kept: agent, id, how many exchanges and characters."""
        return self._stand_in.conversations.listed()

    def forget_conversations(self) -> dict[str, Any]:
        """Lose them; the setting `lost_conversation` says what becomes of who goes on with one."""
        self._stand_in.conversations.forget()
        return {}

    def state(self) -> dict[str, Any]:
        """The counters, and how many plays wait."""
        return asdict(self._stand_in.recorder.counters) | {"plays_waiting": len(self._stand_in.plays)}

    def revoke(self) -> dict[str, Any]:
        """Revoke every token issued so far."""
        self._stand_in.issuer.revoke_all()
        return {}

    def uploads(self) -> list[dict[str, Any]]:
        """The files that were taken, in their order."""
        return self._stand_in.uploads.listed()

    def lose_uploads(self) -> dict[str, Any]:
        """Lose every file, as when they expire."""
        self._stand_in.uploads.lose()
        return {}

    def settings(self) -> dict[str, Any]:
        """The settings in force."""
        return asdict(self._stand_in.settings)

    def configure(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Change some settings, for the requests to come."""
        self._stand_in.settings = self._stand_in.settings.changed(values)
        return self.settings()

    def reset(self) -> dict[str, Any]:
        """Back to the first settings, without plays, records and counts; issued tokens and uploads stay good."""
        self._stand_in.settings = self._first_settings
        self._stand_in.plays.clear()
        self._stand_in.recorder.clear()
        self._stand_in.recorder.reset_counters()
        self._stand_in.conversations.clear()
        self._stand_in.forget_rate()
        return {}
