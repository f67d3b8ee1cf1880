"""What the package index shows: the page, its links, and what pyproject.toml says about the package."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import custom_handler

ROOT = Path(__file__).resolve().parents[2]
SETUP = runpy.run_path(str(ROOT / "setup.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
REPOSITORY = "https://code.example.com/team/proxy"
AT_TAG = re.compile(rf"{REPOSITORY}/(?:blob|raw)/v{re.escape(custom_handler.__version__)}/([^)#]+)")
LINK = re.compile(r"\]\(([^)]+)\)")


@pytest.fixture(params=[REPOSITORY, ""], ids=["with a repository", "without"])
def page(request) -> str:
    return SETUP["index_page"](README, request.param, custom_handler.__version__)


def test_no_link_of_the_page_is_relative_and_no_diagram_is_left(page):
    assert [link for link in LINK.findall(page) if not link.startswith("https://")] == []
    assert "mermaid" not in page


def test_the_page_keeps_every_section_of_the_readme_and_begins_with_the_installation(page):
    headings = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert headings == ["Install", *re.findall(r"^## (.*)$", README, re.MULTILINE)]
    assert "pip install stackspot-litellm\nstackspot-litellm init\nstackspot-litellm run\n" in page


def test_links_lead_to_files_of_the_repository_at_the_tag_and_images_to_their_content():
    page = SETUP["index_page"](README, REPOSITORY, custom_handler.__version__)
    files = AT_TAG.findall(page)
    assert len(files) > 40
    assert [name for name in files if not (ROOT / name).exists()] == []
    assert f"{REPOSITORY}/raw/v{custom_handler.__version__}/docs/images/playground.png" in page
    assert f"{REPOSITORY}/actions/workflows/ci.yml/badge.svg" in page


def test_without_a_repository_links_are_text_and_relative_images_are_left_out():
    page = SETUP["index_page"](README, "", custom_handler.__version__)
    assert "Português · Quick start · Clients · Errors · All documents" in page
    assert "playground.png" not in page
    assert "[LiteLLM](https://docs.litellm.ai)" in page


def test_the_links_beside_the_page_lead_to_files_that_exist():
    links = SETUP["project_urls"](REPOSITORY, custom_handler.__version__)
    files = {name: AT_TAG.fullmatch(link)[1] for name, link in links.items() if "/blob/" in link}
    assert {"Documentation", "Changelog", "Upgrading"} == set(files)
    assert [name for name in files.values() if not (ROOT / name).is_file()] == []


def test_the_classifiers_name_the_versions_of_python_that_are_tested():
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert named == workflow["jobs"]["test"]["strategy"]["matrix"]["python"]


def test_the_changelog_has_the_version():
    versions = re.findall(
        r"^## \[([\d.]+)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
    assert versions[0] == custom_handler.__version__


@pytest.fixture(scope="module")
def bill(tmp_path_factory) -> str:
    """The bill of materials as `make dist` writes it, for a lock of one package."""
    folder = tmp_path_factory.mktemp("bill")
    (folder / "requirements.lock").write_text("orjson==3.11.3\n")
    file, project = folder / "sbom.cdx.json", ROOT / "pyproject.toml"
    written = [
        "-m",
        "cyclonedx_py",
        "requirements",
        "--pyproject",
        project,
        "--output-file",
        file,
        folder / "requirements.lock",
    ]
    for arguments in (written, [ROOT / ".ci" / "sbom.py", file]):
        subprocess.run([sys.executable, "-W", "ignore", *arguments], capture_output=True, check=True)
    return file.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_bill_of_materials_is_valid_and_names_the_version_and_the_files_of_other_projects(bill):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    read = json.loads(bill)
    root = read["metadata"]["component"]
    assert (root["name"], root["version"]) == ("stackspot-litellm", custom_handler.__version__)
    listed = [
        line for line in (ROOT / ".ci" / "vendored.txt").read_text("utf-8").splitlines() if line[:1] not in {"", "#"}
    ]
    assert len(read["components"]) == len(listed) + 1
    package, release = listed[-1].split()[2:4]
    assert {"pkg:pypi/orjson@3.11.3", f"pkg:npm/{package}@{release}"} <= {
        component["purl"] for component in read["components"]
    }
    [parts] = [entry["dependsOn"] for entry in read["dependencies"] if entry["ref"] == root["bom-ref"]]
    assert len(parts) == len(listed) + 1
