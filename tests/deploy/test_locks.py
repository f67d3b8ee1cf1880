"""Each place that installs a lock installs it without resolving anything: the lock is the whole tree.

An older pip would otherwise look for newer releases of packages that are required with extras, and stop.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HIDDEN = {".ci", ".github"}  # the folders with a dot that belong to the project, not to a tool
MADE = {"build", "dist", "node_modules", "__pycache__", "tests"}
INSTALLS = re.compile(r"\bpip3? install\b.*(?:--require-hashes|\.lock\b)|\buv pip (?:install|sync)\b.*\.lock\b")


def files() -> Iterator[Path]:
    """Yield the project's files; Git is not asked, because the image that runs the tests has no history."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name in HIDDEN or not (name.startswith(".") or name in MADE)]
        yield from (Path(folder, name) for name in names if not name.endswith(".lock"))


def installs() -> list[tuple[str, str]]:
    """The lines of the repository that install a lock, each with its file."""
    texts = [(file, file.read_text(encoding="utf-8", errors="ignore")) for file in files() if file.is_file()]
    return [
        (file.relative_to(ROOT).as_posix(), line.strip())
        for file, text in texts
        for line in text.replace("\\\n", " ").splitlines()
        if INSTALLS.search(line)
    ]


def test_every_place_that_installs_a_lock_resolves_nothing():
    assert [found for found in installs() if "--no-deps" not in found[1]] == []


def test_the_places_that_install_a_lock_are_found():
    assert {"Makefile", "Dockerfile", "README.md", "README.pt-BR.md"} <= {file for file, _ in installs()}
