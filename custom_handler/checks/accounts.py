"""Check the accounts of STACKSPOT_ACCOUNTS_FILE: their limits, and whether each gets a token."""

from __future__ import annotations

import asyncio

from ..data_class import data_class
from ..errors import ConfigurationError
from ..settings import Settings
from ..stackspot.accounts_file import FILE, read_accounts
from .environment import PLATFORM_LIMIT, Fault, requests_fault
from .probe import Authenticate, probe_account


@data_class
class AccountRow:
    """One account, by its name: its realm, its requests a minute (0: no limit), and its state."""

    name: str
    realm: str
    requests_per_minute: int
    state: str
    fault: str | None = None


def accounts_file_faults(settings: Settings) -> list[Fault]:
    """Return what is wrong with the file of accounts, if there is one."""
    try:
        accounts = read_accounts(settings)
    except ConfigurationError as error:
        return [Fault(FILE, error.message)]
    limits = {name: one.limits.requests_per_minute for name, one in accounts.items() if one is not settings}
    names = {name: f"{FILE}, accounts.{name}.requests_per_minute" for name in limits}
    own = settings.limits.requests_per_minute
    return [
        Fault(names[name], fault)
        for name, limit in limits.items()
        if limit > PLATFORM_LIMIT and limit != own and (fault := requests_fault(names[name], str(limit)))
    ]


async def check_accounts(settings: Settings, authenticate: Authenticate) -> list[AccountRow]:
    """Fetch a token of each account that has credentials; none where there is no file of accounts.

    Raises ConfigurationError for an invalid file.
    """
    if not settings.account.accounts_file:
        return []
    accounts = {name: one for name, one in read_accounts(settings).items() if not one.account.missing()}
    faults = await asyncio.gather(*(probe_account(name, authenticate) for name in accounts))
    return [
        AccountRow(
            name,
            one.account.realm,
            one.limits.requests_per_minute,
            "fault" if fault else "a token was given",
            fault,
        )
        for (name, one), fault in zip(accounts.items(), faults, strict=True)
    ]
