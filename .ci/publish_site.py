"""Add a version of the documentation site to those that are published: `publish_site.py BUILT PUBLISHED VERSION`.

PUBLISHED holds a folder for each version, `latest` as a copy of the newest release, `versions.json` for the menu of versions,
and a page that leads to `latest`, or to `dev` as long as nothing is released.
"""

import json
import shutil
import sys
from pathlib import Path

PAGE = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={0}/"><a href="{0}/">{0}</a>\n'


def order(version: str) -> tuple[int, ...]:
    """Return what sorts versions: the numbers of a release; `dev` is newer than all."""
    return (sys.maxsize,) if version == "dev" else tuple(int(part) for part in version.split("."))


def publish(built: Path, published: Path, version: str) -> None:
    """Copy the built site to its version, and write the list of versions."""
    order(version)  # raises ValueError for what is neither a release nor dev
    copy(built, published / version)
    versions = sorted(
        {found.parent.name for found in published.glob("*/index.html")} - {"latest"}, key=order, reverse=True
    )
    newest = next((name for name in versions if name != "dev"), None)
    if version == newest:
        copy(built, published / "latest")
    listed = [{"version": name, "title": name, "aliases": ["latest"] if name == newest else []} for name in versions]
    (published / "versions.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    (published / "index.html").write_text(PAGE.format("latest" if newest else "dev"), encoding="utf-8")
    (published / ".nojekyll").touch()  # else the host leaves out files that begin with an underscore


def copy(source: Path, target: Path) -> None:
    """Copy a folder in the place of an earlier one."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].removeprefix("v"))
