"""What an error message must not repeat; `quote` removes it."""

from __future__ import annotations

from dataclasses import field

from ..data_class import data_class
from ..settings import AccountSettings


@data_class
class Private:
    """What a quote must not repeat: `values` that identify the account, and the `prompt`."""

    values: tuple[str, ...] = field(default=(), repr=False)
    prompt: str = field(default="", repr=False)

    @classmethod
    def of(cls, account: AccountSettings, agent_id: str = "", prompt: str = "") -> Private:
        """Return what the errors of a call for this account must not repeat."""
        values = (account.client_secret, account.client_id, account.realm, account.agent_id, agent_id)
        return cls(tuple(value for value in values if len(value) > 1), prompt)
