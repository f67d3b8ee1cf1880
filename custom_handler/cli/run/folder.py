"""Create the files that a proxy needs in its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from ...env_file import ensure_value, load, new_master_key, with_value, write
from ...errors import ConfigurationError
from ...proxy.config import resolved

MASTER_KEY = "LITELLM_MASTER_KEY"

_PACKAGE = Path(__file__).resolve().parents[2]


def init(folder: Path) -> list[tuple[Path, bool]]:
    """Write config.yaml and `.env` unless they exist; return each path, and whether it is new."""
    written = []
    for name, text in (("config.yaml", template("config.yaml")), (".env", _first_env())):
        target = folder / name
        new = not target.exists()
        if new:
            write(target, text)
        if new and name == "config.yaml":
            target.chmod(0o644)
        written.append((target, new))
    return written


def template(name: str) -> str:
    """Return config.yaml or .env.example, from the installed package or the repository."""
    packaged = _PACKAGE / "templates" / name
    return (packaged if packaged.exists() else _PACKAGE.parent / name).read_text(encoding="utf-8")


def read_dotenv(folder: Path) -> None:
    """Load `.env` into the environment, which takes precedence. Raises ConfigurationError."""
    try:
        load(folder / ".env")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{folder / '.env'} cannot be read ({type(error).__name__}): make it a text file in UTF-8 that you may read."
        ) from None


def ensure_key(folder: Path, config: Mapping[str, Any]) -> None:
    """Write a new master key to `.env` unless a key is set. Raises ConfigurationError."""
    file = folder / ".env"
    if os.environ.get(MASTER_KEY, "").strip() or resolved((config.get("general_settings") or {}).get("master_key")):
        return
    try:
        if not file.exists():
            write(file, _first_env())
            print(f"Wrote .env with a new {MASTER_KEY}: the API key for clients of this proxy.", flush=True)
        elif ensure_value(file, MASTER_KEY, new_master_key)[1]:
            print(f"Wrote a new {MASTER_KEY} into .env: the API key for clients of this proxy.", flush=True)
    except (OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            f"{MASTER_KEY} is not set, and {file} cannot be written ({reason}): set it, or make the folder writable."
        ) from None
    load(file)


def key_is_in_dotenv(folder: Path) -> bool:
    """Return whether the master key of this process is that of `.env`."""
    return dotenv_values(folder / ".env").get(MASTER_KEY) == os.environ.get(MASTER_KEY)


def _first_env() -> str:
    return with_value(template(".env.example"), MASTER_KEY, new_master_key())
