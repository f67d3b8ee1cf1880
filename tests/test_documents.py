"""What the documents say that code or other documents say too."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry

from custom_handler.cli import main
from custom_handler.settings import all_fields
from custom_handler.telemetry.prometheus import ProviderMetrics

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")})
ENGLISH, PORTUGUESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.pt-BR.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def sections(text: str) -> list[str]:
    """Split at the headings, those inside a fence not counted."""
    without = FENCE.sub(lambda found: found[0].replace("\n#", "\n "), text)
    starts = [found.start() for found in re.finditer(r"^#+ ", without, re.MULTILINE)]
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The fenced blocks, each with its lines as a shell takes them: without comments."""
    return [
        (language, [re.sub(r"\s+#.*", "", line).rstrip() for line in block.splitlines()])
        for language, block in FENCE.findall(text)
        if language == "bash"
    ]


def codes(text: str) -> list[str]:
    """What stands in backquotes, fences left out."""
    return re.findall(r"`([^`]+)`", FENCE.sub("", text))


def numbers(text: str) -> list[str]:
    """Every number of its prose, without what separates thousands."""
    return sorted(re.sub("[.,]", "", found) for found in re.findall(r"\d[\d.,]*", FENCE.sub("", text)))


def rows(text: str) -> list[str]:
    """What stands in backquotes in the first column of its tables."""
    return [code for row in re.findall(r"^\| (.*?) \|", text, re.MULTILINE) for code in codes(row)]


def section(heading: str) -> str:
    (found,) = (text for text in sections(ENGLISH) if text.startswith(f"## {heading}\n"))
    return found


def test_both_readmes_have_the_same_headings():
    levels = [[re.match("#+", section)[0] for section in sections(text)] for text in (ENGLISH, PORTUGUESE)]
    assert levels[0] == levels[1]


@pytest.mark.parametrize("number", range(len(sections(ENGLISH))))
def test_each_section_has_the_same_commands_names_numbers_links_and_images_in_both(number):
    ours, theirs = (sections(text)[number] for text in (ENGLISH, PORTUGUESE))
    assert commands(ours) == commands(theirs)
    assert rows(ours) == rows(theirs)
    assert sorted(codes(ours)) == sorted(codes(theirs))
    assert numbers(ours) == numbers(theirs)
    assert len(FENCE.findall(ours)) == len(FENCE.findall(theirs))
    # A heading of the page itself has another name in each language; the test of links looks for it.
    links = [set(re.findall(r"\]\((?!#)([^)]+)\)", text)) - {"README.md", "README.pt-BR.md"} for text in (ours, theirs)]
    assert links[0] == links[1]


def anchors(text: str) -> set[str]:
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_a_document_links_to_is_there(document):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", document.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        there = (document.parent / name) if name else document
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text(encoding="utf-8")), target


def test_the_page_of_settings_is_what_the_settings_say():
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == CliRunner().invoke(main, ["settings"]).output, "it is stale: make docs"


@pytest.mark.parametrize("setting", all_fields(), ids=lambda item: item.metadata["name"])
def test_a_setting_says_what_it_means(setting):
    assert len(setting.metadata["meaning"]) > 5
    assert "|" not in setting.metadata["meaning"], "it would end the cell of the table"


def test_the_readme_names_no_setting_that_does_not_exist():
    known = {item.metadata["name"] for item in all_fields()} | {"LITELLM_MASTER_KEY"}
    assert set(rows(section("Configuration").partition("\n**")[0])) <= known


def test_the_readme_tells_the_defaults_of_the_settings():
    cells = re.compile(r"^\| (`\w+`) \| *(.*?) *\|", re.MULTILINE)
    page = dict(cells.findall((ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")))
    told = dict(cells.findall(section("Configuration")))
    assert told == {name: page[name] for name in told}


def test_the_readme_has_a_row_for_each_example_and_names_only_files_that_exist():
    named = re.findall(r"examples/([\w./-]*\w)", section("Clients"))
    assert all((ROOT / "examples" / name).is_file() for name in named)
    assert {name.split("/")[0] for name in named} == {
        folder.name for folder in (ROOT / "examples").iterdir() if folder.is_dir()
    }


def test_the_readme_names_each_metric_of_the_provider():
    registry = CollectorRegistry()
    ProviderMetrics(registry)
    kept = {metric.name + "_total" * (metric.type == "counter") for metric in registry.collect()}
    told = re.search(r"`stackspot_…`: (.*?)\.\sWith", section("Observability"), re.DOTALL)
    assert {f"stackspot_{name}" for name in codes(told[1])} == kept


def test_what_env_example_offers_exists():
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    named = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in named if f"`{name}`" not in page] == []


def test_the_tree_of_the_architecture_names_every_module():
    tree = FENCE.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))[0][1]
    modules = {file.stem for file in (ROOT / "custom_handler").rglob("*.py")}
    assert modules - set(re.findall(r"\w+", tree)) == set()


def test_the_commands_of_make_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target
        for file in DOCUMENTS
        for target in re.findall(r"\bmake ([a-z][a-z-]+)\b(?= *[`#\n])", file.read_text("utf-8"))
    }
    assert {"run", "test", "check"} <= named <= targets


def test_the_case_in_contributing_is_read_as_it_says():
    from custom_handler.emulation.tool_calls.parser import ToolCallParser
    from custom_handler.events import ToolCallArguments, ToolCallStart

    case = json.loads(re.search(r"^\{.*\}$", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)[0])
    reader = ToolCallParser({name: {} for name in case["tools"]}, lambda: "call_1")
    events = [*reader.feed(case["text"]), *reader.flush()]
    (wanted,) = case["expect"]["tool_calls"]
    assert [event.name for event in events if isinstance(event, ToolCallStart)] == [wanted["name"]]
    told = "".join(event.arguments for event in events if isinstance(event, ToolCallArguments))
    assert json.loads(told) == wanted["arguments"]


def test_what_contributing_says_to_open_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = text.partition("## To change X, open Y")[2].partition("\n## ")[0]
    paths = re.findall(r"`([\w./*]+/[\w./*]*)`", rows)
    assert len(paths) > 30
    assert [path for path in paths if not any([*ROOT.glob(path), *ROOT.glob(f"custom_handler/{path}")])] == []
