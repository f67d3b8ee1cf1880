"""The documentation site: its pages, its menu, and the folder of its versions."""

from __future__ import annotations

import importlib.util
import json
import re
import unicodedata
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONFIG = (ROOT / "zensical.toml").read_text(encoding="utf-8")


def script(name: str) -> ModuleType:
    """Load a script of .ci, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """The pages as they are laid out for the generator."""
    module = script("site")
    monkeypatch.setattr(module, "TARGET", tmp_path / "docs")
    module.main()
    return tmp_path / "docs"


def test_the_menu_has_every_page_once(site):
    named = re.findall(r'= "([\w./-]+\.md)"', CONFIG)
    assert sorted(named) == sorted(page.relative_to(site).as_posix() for page in site.rglob("*.md"))


def test_each_link_of_the_site_leads_to_a_file_of_the_site(site):
    links = [
        (page, target)
        for page in site.rglob("*.md")
        for target in re.findall(r"\]\((?!\w+:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 200
    assert [f"{page.name}: {target}" for page, target in links if not (page.parent / target).is_file()] == []


def slug(heading: str) -> str:
    """The anchor that the generator makes from a heading."""
    ascii_only = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip().lower())


def test_each_anchor_of_the_site_is_that_of_a_heading(site):
    texts = {
        page: re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for page in site.rglob("*.md")
    }
    anchors = {
        page: {slug(line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)} for page, text in texts.items()
    }
    links = [
        (page, (page.parent / name).resolve() if name else page, anchor)
        for page, text in texts.items()
        for name, anchor in re.findall(r"\]\((?!\w+:)([^)#]*)#([^)]+)\)", text)
    ]
    assert len(links) > 100
    assert [f"{page.name}: {to.name}#{anchor}" for page, to, anchor in links if anchor not in anchors[to]] == []


def test_the_first_page_in_portuguese_leads_to_pages_in_portuguese(site):
    text = (site / "pt-BR" / "index.md").read_text(encoding="utf-8")
    assert "(quick-start.md)" in text
    assert "(../cli.md)" in text
    assert "(../index.md)" in text


@pytest.mark.parametrize(("folder", "group"), [("", "Agent frameworks"), ("pt-BR", "Frameworks de agentes")])
def test_each_group_of_clients_is_a_page(site, folder, group):
    whole = (site / folder / "clients.md").read_text(encoding="utf-8")
    part = (site / folder / "clients" / "frameworks.md").read_text(encoding="utf-8")
    assert f"[{group}](clients/frameworks.md)" in whole
    assert part.startswith(f"# {group}\n")
    assert ("| LangChain |" in part, "| LangChain |" in whole) == (True, False)


@pytest.mark.parametrize("page", ["index.md", "pt-BR/index.md"])
def test_the_ways_of_the_quick_start_are_tabs(site, page):
    text = (site / page).read_text(encoding="utf-8")
    tabs = re.findall(r'^=== "(.*)"\n\n((?:    .*\n|\n)+)', text, re.MULTILINE)
    assert [name.split()[-1] for name, _ in tabs] == ["make", "Windows", "Docker"]
    assert ["make run" in tabs[0][1], "py -m venv .venv" in tabs[1][1], "docker build" in tabs[2][1]] == [True] * 3
    assert "<details" not in text


def test_no_page_depends_on_the_host_of_mermaid():
    [script] = re.findall(r'extra_javascript = \["(.*)"\]', CONFIG)
    text = (ROOT / ".ci" / "theme" / script).read_text(encoding="utf-8")
    assert re.search(r"^window\.mermaid = \{", text, re.MULTILINE), "the theme loads its own mermaid without one"
    assert "import(" in text


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path, monkeypatch):
    module = script("site")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text("[there](docs/gone.md)", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"docs/gone\.md does not exist"):
        module.page(Path("README.md"))


def publish(built: Path, published: Path, version: str) -> None:
    (built / "index.html").write_text(version, encoding="utf-8")
    script("publish_site").publish(built, published, version)


def test_versions_are_kept_beside_each_other_and_the_newest_release_is_the_latest(tmp_path):
    built, published = tmp_path / "built", tmp_path / "published"
    built.mkdir()
    published.mkdir()
    publish(built, published, "dev")
    assert "dev/" in (published / "index.html").read_text("utf-8")
    for version in ("0.9.0", "0.10.0", "0.9.1"):
        publish(built, published, version)
    listed = json.loads((published / "versions.json").read_text("utf-8"))
    assert [one["version"] for one in listed] == ["dev", "0.10.0", "0.9.1", "0.9.0"]
    assert [one["version"] for one in listed if one["aliases"] == ["latest"]] == ["0.10.0"]
    assert (published / "latest" / "index.html").read_text("utf-8") == "0.10.0"
    assert (published / "0.9.1" / "index.html").read_text("utf-8") == "0.9.1"
    assert "latest/" in (published / "index.html").read_text("utf-8")


def test_what_is_no_version_is_not_published(tmp_path):
    with pytest.raises(ValueError, match="invalid literal"):
        publish(tmp_path, tmp_path / "published", "main")
