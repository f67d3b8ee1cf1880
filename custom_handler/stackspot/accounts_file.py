"""Read STACKSPOT_ACCOUNTS_FILE: further StackSpot accounts, each with a name.

accounts:
  team-b:                            # the name that model_info.account has
    client_id: 5f0c…
    client_secret: …                 # or client_secret_file: a path, relative to this file
    realm: acme
    requests_per_minute: 90          # optional; default: STACKSPOT_REQUESTS_PER_MINUTE
    requests_per_day: 5000           # optional; default: STACKSPOT_REQUESTS_PER_DAY
    quick_commands_per_minute: 20    # optional; default: STACKSPOT_QUICK_COMMANDS_PER_MINUTE
    quick_commands_per_day: 6000     # optional; default: STACKSPOT_QUICK_COMMANDS_PER_DAY

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
_WORD = re.compile(r"(?=.{1,24}$)[A-Za-z]+(?:[_-][A-Za-z]+){0,3}")
_SECRETS = ("client_secret", "client_secret_file")
_LIMITS = ("requests_per_minute", "requests_per_day", "quick_commands_per_minute", "quick_commands_per_day")
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
        accounts[name] = account = _account(settings, entry, path.parent, name)
        client_id = account.account.client_id
        if client_id in owners:
            raise _twice(name, owners[client_id])
        owners[client_id] = name
    return accounts


def _read_account(settings: Settings, name: str) -> AccountSettings:
    """Return one account of the file; another entry may be faulty.

    Raises ConfigurationError.
    """
    path = Path(settings.account.accounts_file)
    entries = _entries(path)
    if name not in entries:
        raise ConfigurationError(f"{_where(name)} is missing: add it again, or remove it from config.yaml.")
    account = _account(settings, entries[name], path.parent, name).account
    if account.client_id == settings.account.client_id:
        raise _twice(name, DEFAULT_ACCOUNT)
    for other, entry in entries.items():
        if other != name and isinstance(entry, Mapping) and entry.get("client_id") == account.client_id:
            raise _twice(name, str(other)[:80])
    return account


def _twice(name: str, other: str) -> ConfigurationError:
    return ConfigurationError(
        f"{_where(name)} has the client_id of the account {other!r}: one account has one entry. Remove one."
    )


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
    return lambda: _read_account(settings, name)


def _where(name: str) -> str:
    return f"{FILE}, accounts.{name}"


def _entries(path: Path) -> dict[Any, Any]:
    """Return the entries by their names, neither of which is validated."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{FILE} {str(path)!r} cannot be read: {type(error).__name__}. Correct the name or the file."
        ) from None
    entries = content.get("accounts") if isinstance(content, Mapping) and set(content) == {"accounts"} else None
    if not isinstance(entries, Mapping) or not entries:
        raise ConfigurationError(f"{FILE} {str(path)!r} must hold one mapping named accounts, from names to accounts.")
    return dict(entries)


def _account(settings: Settings, entry: Any, folder: Path, name: Any) -> Settings:
    """Return the settings with those of an entry; raises ConfigurationError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{FILE}: {_before_value(name)!r} is not a name of an account. "
            "Use at most 40 letters, digits, dots, hyphens and underscores."
        )
    where = _where(name)
    if name == DEFAULT_ACCOUNT:
        raise ConfigurationError(
            f"{where}: this name is that of the account of CLIENT_ID. Give the account another name."
        )
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where} must be a mapping with {', '.join(_FIELDS)}.")
    for field in entry:
        if field not in _FIELDS:
            raise _unknown_field(field, where)
    account = {
        "client_id": _text(entry, "client_id", where),
        "client_secret": _secret(entry, where, folder),
        "client_secret_file": "",
        "realm": _text(entry, "realm", where),
        "label": name,
    }
    limits = {limit: _limit(entry[limit], f"{where}.{limit}") for limit in _LIMITS if entry.get(limit) is not None}
    return settings.changed(account=account, limits=limits)


def _unknown_field(field: object, where: str) -> ConfigurationError:
    """Return the error for a field, which is named only where it cannot be a client key."""
    shown = _before_value(field)
    if shown in _FIELDS:
        return ConfigurationError(f"{where}.{shown} has no value: write a blank behind its colon.")
    if not _WORD.fullmatch(shown):
        return ConfigurationError(f"{where} has a field that is none: the fields are {', '.join(_FIELDS)}.")
    near = difflib.get_close_matches(shown, _FIELDS, 1)
    cure = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(_FIELDS)}."
    return ConfigurationError(f"{where}.{shown} is not a field of an account: {cure}")


def _before_value(name: object) -> str:
    """Return the start of a name, without what may be a value that no blank separates from it.

    >>> _before_value("client_secret:abc")
    'client_secret'
    """
    return re.split("[:=]", str(name)[:80])[0].strip()


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
    secret = read_secret(field, folder / value)
    if not secret:
        raise ConfigurationError(f"The file that {field} names is empty: write the client key into it.")
    return secret


def _limit(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_LIMIT:
        raise ConfigurationError(f"{where} must be a whole number, 0 for no limit.")
    return value
