"""Lay out the pages of the documentation site in build/docs: `make docs-site` builds it from there.

The pages stay readable in the repository, where README.md and SECURITY.md are outside of docs/. The site has one tree, so
each link is rewritten to where its target is there.
"""

import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "build" / "docs"
LINK = re.compile(r"(\]\()(?!\w+:)([^)#]*)(#[^)]*)?")
BADGE = re.compile(r"^\[!\[CI\].*\n", re.MULTILINE)  # relative to the repository's page at GitHub
NAMES = {"README.md": "index.md", "README.pt-BR.md": "pt-BR/index.md", ".ci/api.md": "api.md"}


def place(path: str) -> str:
    """Return where a path of the repository is in the site."""
    return NAMES.get(path, path.removeprefix("docs/"))


def sources() -> Iterator[Path]:
    """Yield each file of the site, relative to the repository."""
    yield from (Path(name) for name in (*NAMES, "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"))
    for folder in ("docs", "examples"):
        yield from (found.relative_to(ROOT) for found in sorted((ROOT / folder).rglob("*")) if found.is_file())


def plain(anchor: str) -> str:
    """Return an anchor as the generator makes it from a heading: GitHub keeps accents, it drops them."""
    return unicodedata.normalize("NFKD", anchor).encode("ascii", "ignore").decode()


def page(source: Path) -> str:
    """Return the text of a page with its links as the site has them."""
    here = Path(place(source.as_posix())).parent

    def moved(found: re.Match[str]) -> str:
        anchor = plain(found[3] or "")
        if not found[2]:
            return found[1] + anchor
        target = os.path.normpath(source.parent / found[2])
        if not (ROOT / target).exists():
            raise SystemExit(f"{source}: {found[2]} does not exist.")
        return found[1] + os.path.relpath(place(target), here) + anchor

    text = BADGE.sub("", (ROOT / source).read_text(encoding="utf-8"))
    # The site's Markdown reads what is within an element only if the element says so, and a table only behind a blank line.
    return LINK.sub(moved, text).replace("<details>", "<details markdown>").replace("-->\n|", "-->\n\n|")


def main() -> None:
    """Write the tree anew."""
    shutil.rmtree(TARGET, ignore_errors=True)
    for source in sources():
        target = TARGET / place(source.as_posix())
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            target.write_text(page(source), encoding="utf-8")
        else:
            shutil.copy(ROOT / source, target)


if __name__ == "__main__":
    main()
