"""Examines the `.pth` files of this Python's environment, which run at its every start.

A `.pth` file must stand in `.ci/pth.txt` under the package that brings it, with the reason, and be what that package's record
says; releases of LiteLLM have carried malware in such a file.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import sysconfig
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

LISTED = Path(__file__).with_name("pth.txt")


def main(site: Path) -> int:
    """Print what is wrong; returns 1 where something must be looked at."""
    listed = dict(line.split(maxsplit=2)[:2] for line in LISTED.read_text().splitlines() if line and line[0] != "#")
    troubles = [trouble for file in sorted(site.glob("*.pth")) if (trouble := examine(file, listed))]
    for trouble in troubles:
        print(f"audit: {trouble}", file=sys.stderr)
    return 1 if troubles else 0


def examine(file: Path, listed: dict[str, str]) -> str | None:
    """Say what is wrong with a `.pth` file."""
    package = listed.get(file.name)
    if package is None:
        return f"{file} is not listed in {LISTED.name}: read it, and list it with its package and the reason, or remove it."
    try:
        records = Distribution.from_name(package).files or []
    except PackageNotFoundError:
        return f"{file} is listed as {package}'s, which is not installed."
    recorded = {Path(str(item.locate())).resolve(): item.hash for item in records if item.name == file.name}
    digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).rstrip(b"=").decode()
    found = recorded.get(file.resolve())
    return (
        None if found and (found.mode, found.value) == ("sha256", digest) else f"{file} is not what {package} installs."
    )


if __name__ == "__main__":
    sys.exit(main(Path(sysconfig.get_paths()["purelib"])))
