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
from textwrap import indent

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "build" / "docs"
LINK = re.compile(r"(\]\()(?!\w+:)([^)#]*)(#[^)]*)?")
BADGE = re.compile(r"^\[!\[CI\].*\n", re.MULTILINE)  # relative to the repository's page at GitHub
NAMES = {"README.md": "index.md", "README.pt-BR.md": "pt-BR/index.md", ".ci/api.md": "api.md"}
SECTION = re.compile(r"^(?=## )", re.MULTILINE)
DETAILS = re.compile(r"<details>\n<summary>(.*?)</summary>\n(.*?)</details>", re.DOTALL)

# Sections of a page that are pages of their own on the site, by their headings.
PARTS = {
    "docs/clients.md": {
        "SDKs": "sdks",
        "Agent frameworks": "frameworks",
        "Coding agents": "coding-agents",
        "Editors and chat applications": "applications",
    },
    "docs/pt-BR/clients.md": {
        "SDKs": "sdks",
        "Frameworks de agentes": "frameworks",
        "Agentes de código": "coding-agents",
        "Editores e aplicativos de chat": "applications",
    },
}


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


def page(source: Path, text: str | None = None, to: str | None = None) -> str:
    """Return a page, or a `text` of it that stands at `to`, with its links as the site has them."""
    home = place(source.as_posix())
    here = Path(to or home).parent

    def moved(found: re.Match[str]) -> str:
        anchor = plain(found[3] or "")
        if not found[2]:
            return found[1] + (os.path.relpath(home, here) if to else "") + anchor
        target = os.path.normpath(source.parent / found[2])
        if not (ROOT / target).exists():
            raise SystemExit(f"{source}: {found[2]} does not exist.")
        return found[1] + os.path.relpath(place(target), here) + anchor

    text = BADGE.sub("", text or (ROOT / source).read_text(encoding="utf-8"))
    text = "".join(map(with_tabs, SECTION.split(text)))
    # The site's Markdown reads a table only behind a blank line.
    return LINK.sub(moved, text).replace("-->\n|", "-->\n\n|")


def with_tabs(section: str) -> str:
    """Return a section whose first commands, and the ways beside them in `<details>`, are tabs.

    >>> print(with_tabs("## Start\\n\\n```bash\\nmake run\\n```\\n\\n<details>\\n<summary>Docker</summary>\\n\\nText\\n</details>\\n"))
    ## Start
    <BLANKLINE>
    === "make"
    <BLANKLINE>
        ```bash
        make run
        ```
    <BLANKLINE>
    === "Docker"
    <BLANKLINE>
        Text
    <BLANKLINE>
    """
    if not (ways := DETAILS.findall(section)):
        return section
    start, end = section.index("```bash"), section.index("<details>")
    tabs = [("make", section[start:end]), *ways]
    made = "".join(f'=== "{name}"\n\n{indent(body.strip(), " " * 4)}\n\n' for name, body in tabs)
    return section[:start] + made + section[section.rindex("</details>") + len("</details>") :].lstrip("\n")


def pages(source: Path) -> Iterator[tuple[str, str]]:
    """Yield the places and texts of the pages that a file becomes: one, and one for each of its PARTS."""
    home = place(source.as_posix())
    folder = home.removesuffix(".md")
    parts = PARTS.get(source.as_posix(), {})
    first, *sections = SECTION.split((ROOT / source).read_text(encoding="utf-8"))
    title, kept = first.partition("\n")[0].removeprefix("# "), first
    for section in sections:
        heading, _, body = section.removeprefix("## ").partition("\n")
        if heading not in parts:
            kept += section
            continue
        to = f"{folder}/{parts[heading]}.md"
        yield to, page(source, f"# {heading}\n\n← [{title}]({source.name})\n{body}", to)
    yield home, with_parts(page(source, kept), parts, folder)


def with_parts(text: str, parts: dict[str, str], folder: str) -> str:
    """Return a page with links to its parts before its second section."""
    if not parts:
        return text
    first, second, *others = SECTION.split(text)
    links = "".join(f"- [{heading}]({Path(folder).name}/{name}.md)\n" for heading, name in parts.items())
    return "".join((first, links, "\n", second, *others))


def main() -> None:
    """Write the tree anew."""
    shutil.rmtree(TARGET, ignore_errors=True)
    for source in sources():
        if source.suffix != ".md":
            target = TARGET / place(source.as_posix())
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, target)
            continue
        for to, text in pages(source):
            target = TARGET / to
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
