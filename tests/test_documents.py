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
from custom_handler.telemetry.prometheus import ProviderMetrics, ResponseMetrics

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
README = ROOT / "README.md"
# Each page in Portuguese has the name of its page in English.
TWINS = {README: ROOT / "README.pt-BR.md"} | {
    ROOT / "docs" / page.name: page for page in sorted((ROOT / "docs" / "pt-BR").glob("*.md"))
}
PAGES = {portuguese: english for english, portuguese in TWINS.items()}
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
    """What stands in backquotes, in one or two of them, fences left out."""
    found = re.findall(r"(?<!`)(``?)(?!`)(.+?)(?<!`)\1(?!`)", FENCE.sub("", text), re.DOTALL)
    return [code for _, code in found]


def numbers(text: str) -> list[str]:
    """Every number of its prose, without what separates thousands."""
    return sorted(re.sub("[.,]", "", found) for found in re.findall(r"\d[\d.,]*", FENCE.sub("", text)))


def rows(text: str) -> list[str]:
    """What stands in backquotes in the first column of its tables."""
    return [code for row in re.findall(r"^\| (.*?) \|", text, re.MULTILINE) for code in codes(row)]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def links(page: Path, text: str) -> set[str]:
    """Return what a text links to: paths of English pages, with the anchor where the page exists in English only."""
    found = set()
    for target in re.findall(r"\]\((?!#)([^)]+)\)", text):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve()
        english = PAGES.get(path, path)
        found.add(target if ":" in name else f"{english}#{'' if english in TWINS else anchor}")
    return found


@pytest.fixture(params=TWINS, ids=lambda page: page.relative_to(ROOT).as_posix())
def twins(request) -> tuple[Path, Path]:
    return request.param, TWINS[request.param]


def test_a_page_has_the_same_headings_in_both_languages(twins):
    levels = [[re.match("#+", section)[0] for section in sections(page.read_text("utf-8"))] for page in twins]
    assert levels[0] == levels[1]


def test_each_section_has_the_same_commands_names_numbers_links_and_images_in_both(twins):
    both = [sections(page.read_text(encoding="utf-8")) for page in twins]
    for ours, theirs in zip(*both, strict=True):
        where = ours.partition("\n")[0]
        assert commands(ours) == commands(theirs), where
        assert rows(ours) == rows(theirs), where
        assert set(codes(ours)) == set(codes(theirs)), where
        assert set(numbers(ours)) == set(numbers(theirs)), where
        assert len(FENCE.findall(ours)) == len(FENCE.findall(theirs)), where
        assert links(twins[0], ours) == links(twins[1], theirs), where


def test_the_languages_of_a_page_differ(twins):
    english, portuguese = ({line for line in page.read_text("utf-8").splitlines() if " " in line} for page in twins)
    assert len(english & portuguese) < len(english) / 2


@pytest.mark.parametrize("name", ["README.md", "README.pt-BR.md"])
def test_the_first_page_is_short_and_shows_the_playground(name):
    assert 8_000 <= len(text_of(name).encode()) <= 10_240
    assert "(docs/images/playground.png)" in text_of(name).partition("\n## ")[0]
    assert (ROOT / "docs/images/playground.png").stat().st_size < 100_000


def test_the_first_page_leads_to_every_document():
    named = {path.partition("#")[0] for path in links(README, README.read_text("utf-8"))}
    assert {str(page) for page in (ROOT / "docs").glob("*.md")} <= named


@pytest.mark.parametrize("name", ["README.md", "README.pt-BR.md", "SECURITY.md"])
def test_the_version_of_litellm_is_the_pinned_one(name):
    pinned = re.search(r"^litellm\[proxy\]==([\d.]+)$", text_of("requirements.txt"), re.MULTILINE)[1]
    assert f"LiteLLM-{pinned}-" in text_of(name) or f"LiteLLM is pinned to {pinned};" in text_of(name)


def section(heading: str, name: str) -> str:
    (found,) = (text for text in sections(text_of(name)) if text.startswith(f"## {heading}\n"))
    return found


def anchors(text: str) -> set[str]:
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_a_document_links_to_is_there(document):
    for target in re.findall(r"\]\((?!https?:|\.\./\.\./actions/)([^)]+)\)", document.read_text(encoding="utf-8")):
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
    named = rows(section("Settings", "README.md"))
    assert len(named) == 10
    assert set(named) <= known


def test_the_readme_tells_the_defaults_of_the_settings():
    cells = re.compile(r"^\| (`\w+`) \| *(.*?) *\|", re.MULTILINE)
    page = dict(cells.findall((ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")))
    told = dict(cells.findall(section("Settings", "README.md")))
    assert told == {name: page[name] for name in told}


@pytest.mark.parametrize("name", ["README.md", "docs/clients.md", "docs/pt-BR/clients.md"])
def test_the_clients_have_a_row_for_each_example_and_name_only_files_that_exist(name):
    named = re.findall(r"examples/([\w./-]*\w)", text_of(name))
    assert all((ROOT / "examples" / name).is_file() for name in named)
    clients = {name.split("/")[0] for name in named}
    # The README has room for the best known ones only.
    assert name == "README.md" or clients == {
        folder.name for folder in (ROOT / "examples").iterdir() if folder.is_dir()
    }


def proofs(page, words):
    """The kind of proof of each client on a page, by the first cell of its row."""
    tables = re.findall(r"^\| cliente? \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text_of(page), re.MULTILINE)
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in "".join(tables).splitlines()]
    kinds = {kind: re.compile(pattern) for kind, pattern in words.items()}
    return {row[0]: [kind for kind, pattern in kinds.items() if pattern.fullmatch(row[2])] for row in cells}


def test_each_client_has_one_honest_proof_in_both_languages():
    english = proofs(
        "docs/clients.md",
        {
            "tests": "run in tests",
            "make": "run in tests ¹",
            "once": r"run once on \d{4}-\d\d-\d\d",
            "none": "configuration only ²",
        },
    )
    portuguese = proofs(
        "docs/pt-BR/clients.md",
        {
            "tests": "roda nos testes",
            "make": "roda nos testes ¹",
            "once": r"executado uma vez em \d{4}-\d\d-\d\d",
            "none": "só configuração ²",
        },
    )
    assert len(english) > 25
    assert all(len(proof) == 1 for proof in english.values()), english
    assert list(english.values()) == list(portuguese.values())
    # What `make test-clients` installs is what it runs.
    installed = {
        file.parent.name for name in ("requirements.txt", "package.json") for file in ROOT.glob(f"examples/*/{name}")
    }
    assert list(english.values()).count(["make"]) == len(installed)


def test_the_page_of_observability_names_each_metric_of_the_provider():
    registry = CollectorRegistry()
    ProviderMetrics(registry)
    ResponseMetrics(registry)
    kept = {metric.name + "_total" * (metric.type == "counter") for metric in registry.collect()}
    told = section("Metrics", "docs/observability.md").partition("|---|---|")[2].partition("\n\n")[0]
    assert {f"stackspot_{name}" for name in codes(told)} == kept


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
