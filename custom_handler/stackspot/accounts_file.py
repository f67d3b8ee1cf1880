"""Read STACKSPOT_ACCOUNTS_FILE: further StackSpot accounts, each with a name.

accounts:
  team-b:                            # the name that model_info.account has
    client_id: 5f0c…
    client_secret: …                 # or client_secret_file: a path, relative to this file
    realm: acme
    requests_per_minute: 90          # optional; default: STACKSPOT_REQUESTS_PER_MINUTE
    requests_per_day: 5000           # optional; default: STACKSPOT_REQUESTS_PER_DAY

The account of CLIENT_ID, CLIENT_SECRET and REALM has the name `default`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigurationError
from ..setting_fields import read_secret
from ..settings import DEFAULT_ACCOUNT, AccountSettings, Settings

FILE = "STACKSPOT_ACCOUNTS_FILE"

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,39}", re.ASCII)
_SECRETS = ("client_secret", "client_secret_file")
_LIMITS = ("requests_per_minute", "requests_per_day")
_FIELDS = ("client_id", *_SECRETS, "realm", *_LIMITS)
_MAX_LIMIT = 999_999_999


def read_accounts(settings: Settings) -> dict[str, Settings]:
    """Return the settings of each account by its name, `default` first.

    That one may lack credentials; no other does. Raises ConfigurationError for an invalid file.
    """
    accounts = {DEFAULT_ACCOUNT: settings}
    if not settings.account.accounts_file:
        return accounts
    path = Path(settings.account.accounts_file)
    owners = {settings.account.client_id: DEFAULT_ACCOUNT}
    for name, entry in _entries(path).items():
        where = _where(name)
        accounts[name] = account = _account(settings, entry, where, path.parent, name)
        client_id = account.account.client_id
        if client_id in owners:
            raise ConfigurationError(
                f"{where} has the client_id of the account {owners[client_id]!r}: one account has one entry. Remove one."
            )
        owners[client_id] = name
    return accounts


def choose_account(model_info: Mapping[str, Any], accounts: Mapping[str, Settings]) -> str:
    """Return the name of the account that answers for a model; raises ConfigurationError.

    >>> choose_account({}, {"default": Settings()})
    'default'
    """
    chosen = model_info.get("account")
    if chosen is None:
        return DEFAULT_ACCOUNT
    if isinstance(chosen, str) and chosen in accounts:
        return chosen
    near = difflib.get_close_matches(str(chosen), accounts, 1)
    if len(accounts) == 1:
        cure = f"set {FILE} to the file that has it."
    else:
        cure = f"did you mean {near[0]}?" if near else f"{FILE} has {', '.join(name for name in accounts)}."
    raise ConfigurationError(
        f"model_info.account is {str(chosen)[:80]!r} in config.yaml, which is not an account: {cure}"
    )


def account_reloader(settings: Settings, name: str) -> Callable[[], AccountSettings]:
    """Return a function that reads an account of the file again."""

    def reload() -> AccountSettings:
        found = read_accounts(settings).get(name)
        if found is None:
            raise ConfigurationError(f"{_where(name)} is missing: add it again, or remove it from config.yaml.")
        return found.account

    return reload


def _where(name: str) -> str:
    return f"{FILE}, accounts.{name}"


def _entries(path: Path) -> dict[str, Mapping[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{FILE} {str(path)!r} cannot be read: {type(error).__name__}. Correct the name or the file."
        ) from None
    entries = content.get("accounts") if isinstance(content, Mapping) and set(content) == {"accounts"} else None
    if not isinstance(entries, Mapping) or not entries:
        raise ConfigurationError(f"{FILE} {str(path)!r} must hold one mapping named accounts, from names to accounts.")
    for name, entry in entries.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{FILE}: {str(name)[:80]!r} is not a name of an account. "
                "Use at most 40 letters, digits, dots, hyphens and underscores."
            )
        if name == DEFAULT_ACCOUNT:
            raise ConfigurationError(
                f"{_where(name)}: this name is that of the account of CLIENT_ID. Give the account another name."
            )
        if not isinstance(entry, Mapping):
            raise ConfigurationError(f"{_where(name)} must be a mapping with {', '.join(_FIELDS)}.")
    return dict(entries)


def _account(settings: Settings, entry: Mapping[str, Any], where: str, folder: Path, name: str) -> Settings:
    for field in entry:
        if field not in _FIELDS:
            near = difflib.get_close_matches(str(field), _FIELDS, 1)
            cure = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(_FIELDS)}."
            raise ConfigurationError(f"{where}.{str(field)[:80]} is not a field of an account: {cure}")
    account = {
        "client_id": _text(entry, "client_id", where),
        "client_secret": _secret(entry, where, folder),
        "client_secret_file": "",
        "realm": _text(entry, "realm", where),
        "label": name,
    }
    limits = {limit: _limit(entry[limit], f"{where}.{limit}") for limit in _LIMITS if entry.get(limit) is not None}
    return settings.changed(account=account, limits=limits)


def _text(entry: Mapping[str, Any], field: str, where: str) -> str:
    value = entry.get(field)
    if value is None or value == "":
        raise ConfigurationError(f"{where} needs a {field}. Copy it from the portal.")
    if not isinstance(value, str) or not value.strip():  # a number without quotes loses its leading zeros
        raise ConfigurationError(f"{where}.{field} must be a text. Put it in quotes.")
    return value.strip()


def _secret(entry: Mapping[str, Any], where: str, folder: Path) -> str:
    given = [field for field in _SECRETS if entry.get(field) not in (None, "")]
    if len(given) != 1:
        raise ConfigurationError(f"{where} needs either a client_secret or a client_secret_file.")
    value = _text(entry, given[0], where)
    if given[0] == "client_secret":
        return value
    field = f"{where}.client_secret_file"
    secret = read_secret(field, value, folder / value)
    if not secret:
        raise ConfigurationError(f"{field} is {value!r}: it is empty. Write the client key into it.")
    return secret


def _limit(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_LIMIT:
        raise ConfigurationError(f"{where} must be a whole number, 0 for no limit.")
    return value
