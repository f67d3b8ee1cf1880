"""Find and load the `.env` files of this process; set one value and leave the rest unchanged."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from dotenv import dotenv_values, load_dotenv

from .proxy_module import running_proxy


def dotenv_files() -> tuple[Path, ...]:
    """Return the `.env` of the working directory, then the one beside the proxy's config.yaml."""
    config = getattr(running_proxy(), "user_config_file_path", None)
    folders = [Path.cwd(), *([Path(config).absolute().parent] if config else [])]
    return tuple(dict.fromkeys(folder / ".env" for folder in folders))


def load(file: Path) -> None:
    """Load a `.env` file; set variables win, unless they are blank, as compose.yaml makes them."""
    for name, value in dotenv_values(file).items():
        if value and name in os.environ and not os.environ[name].strip():
            del os.environ[name]
    load_dotenv(file)


def new_master_key() -> str:
    """Return a random API key for the proxy."""
    return f"sk-{secrets.token_urlsafe(32)}"


def ensure_value(path: Path, name: str, make: Callable[[], str]) -> tuple[str, bool]:
    """Return the value of `name` in the file, and whether it was missing and has been written.

    Fill an empty assignment, else append a line; create a missing file. Only the owner can read a
    written file. A lock makes processes that start together agree on one value. Raises OSError.
    """
    from filelock import FileLock  # noqa: PLC0415  for this alone

    path = path.resolve()  # replace the target of a link, not the link
    lock = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    with FileLock(Path(tempfile.gettempdir()) / f"stackspot-litellm-{lock}.lock", timeout=10):
        text = path.read_bytes().decode() if path.exists() else ""
        if existing := (dotenv_values(path).get(name) or "").strip():
            return existing, False
        value = make()
        write(path, with_value(text, name, value))
        return value, True


def with_value(text: str, name: str, value: str) -> str:
    """Return the text with `name` set: in its first empty assignment, or in a new last line.

    >>> with_value("A=\\nB=2\\n", "A", "1")
    'A=1\\nB=2\\n'
    """
    filled, found = re.subn(
        rf"^([ \t]*(?:export[ \t]+)?{name}[ \t]*=)[ \t]*(?:\"\"|'')?[ \t]*(?=\r?$)",
        rf"\g<1>{value}",
        text,
        count=1,
        flags=re.MULTILINE,
    )
    if found:
        return filled
    end = "\r\n" if "\r\n" in text else "\n"
    return f"{text}{'' if not text or text.endswith(chr(10)) else end}{name}={value}{end}"


def write(path: Path, text: str) -> None:
    """Replace a file atomically; only its owner can read it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".env.")  # created with mode 600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
