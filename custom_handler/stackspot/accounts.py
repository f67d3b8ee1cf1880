"""The StackSpot accounts of a process, each with its own tokens, quota and conversations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..data_class import data_class
from ..instrumentation import Hook, labelled
from ..settings import DEFAULT_ACCOUNT, AccountSettings, Settings
from .accounts_file import account_reloader, choose_account, read_accounts
from .client import StackspotClient
from .http.tls import tls_context


@data_class
class Account:
    """One account: its settings, its connections, and a hook that labels measurements with it."""

    name: str
    settings: Settings
    client: StackspotClient
    hook: Hook


class Accounts:
    """The accounts of the settings and of their file; raises ConfigurationError if it is invalid.

    `reload` reads the credentials of the settings again; those of the file always are.

    >>> [account.name for account in Accounts(Settings(), print)]
    ['default']
    """

    def __init__(self, settings: Settings, hook: Hook, reload: Callable[[], AccountSettings] | None = None) -> None:
        self._settings = read_accounts(settings)
        tls = tls_context(settings.account.ca_bundle)  # only once, for it reads all certificates of the machine
        self._accounts: dict[str, Account] = {}
        for name, own in self._settings.items():
            own_hook = labelled(hook, name)
            own_reload = reload if name == DEFAULT_ACCOUNT else account_reloader(settings, name)
            self._accounts[name] = Account(name, own, StackspotClient(own, own_hook, own_reload, tls=tls), own_hook)

    def __iter__(self) -> Iterator[Account]:
        """Iterate over the accounts, `default` first."""
        return iter(self._accounts.values())

    def __getitem__(self, name: str) -> Account:
        """Return the account of this name; raises KeyError."""
        return self._accounts[name]

    def of(self, model_info: Mapping[str, Any]) -> Account:
        """Return the account that `model_info.account` names, or `default`.

        Raises ConfigurationError for a name that is no account.
        """
        return self._accounts[choose_account(model_info, self._settings)]

    @property
    def usable(self) -> list[Account]:
        """The accounts that have credentials, `default` if none has."""
        return [one for one in self if not one.settings.account.missing()] or [self[DEFAULT_ACCOUNT]]
