"""The workflows: what a linter of their security finds, and what they call."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import custom_handler

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BEYOND = {
    "release.yml": {
        "attest": {"id-token": "write", "attestations": "write"},
        "image": {"contents": "read", "packages": "write"},
        "publish": {"id-token": "write"},
        "attach": {"contents": "write"},
    },
    "docs.yml": {"publish": {"contents": "write"}},  # the branch that is served
}
TEXTS = {file.name: file.read_text(encoding="utf-8") for file in WORKFLOWS}


@pytest.mark.slow
def test_the_linter_finds_nothing():
    told = subprocess.run(
        [Path(sys.executable).parent / "zizmor", "--offline", "--no-progress", ROOT / ".github"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout


def test_an_action_has_one_version_in_all_workflows():
    used = {line for text in TEXTS.values() for line in re.findall(r"uses: (.*)", text)}
    assert len({line.split("@")[0] for line in used}) == len(used)


@pytest.mark.parametrize("name", TEXTS)
def test_actions_are_pinned_by_commit_with_their_version_beside(name):
    used = re.findall(r"uses: (.*)", TEXTS[name])
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


@pytest.mark.parametrize("name", TEXTS)
def test_a_workflow_may_read_and_a_job_says_what_it_may_beyond(name):
    workflow = yaml.safe_load(TEXTS[name])
    assert workflow["permissions"] == {"contents": "read"}
    more = {job: given["permissions"] for job, given in workflow["jobs"].items() if "permissions" in given}
    assert more == BEYOND.get(name, {})


def test_every_version_of_python_that_is_supported_is_tested():
    matrix = yaml.safe_load(TEXTS["ci.yml"])["jobs"]["test"]["strategy"]["matrix"]
    lowest, highest = re.search(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ).groups()
    assert matrix["python"] == [f"3.{minor}" for minor in range(int(lowest), int(highest))]


def test_what_the_workflows_make_is_in_the_makefile():
    asked = {
        target for text in TEXTS.values() for target in re.findall(r"(?:run: |^ +)make ([\w./-]+)$", text, re.MULTILINE)
    }
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"check", "audit", "dist", "bench-quick"} <= asked <= targets


@pytest.mark.slow
def test_a_fresh_start_that_fails_ends_its_job_at_once(tmp_path):
    steps = yaml.safe_load(TEXTS["ci.yml"])["jobs"]["fresh"]["steps"]
    [script] = [step["run"] for step in steps if "run" in step]
    (tmp_path / "make").write_text("#!/bin/sh\necho it broke\nexit 2\n")
    (tmp_path / "make").chmod(0o755)
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    # As the runner starts it.
    ran = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.returncode, ran.stdout) == (1, "it broke\n")


def steps_of(job: str) -> list[dict[str, str]]:
    """The steps of a job of the release that run a script, with the script."""
    return [step for step in yaml.safe_load(TEXTS["release.yml"])["jobs"][job]["steps"] if "run" in step]


@pytest.mark.parametrize(("tag", "ok"), [(f"v{custom_handler.__version__}", True), ("v0.0.1", False)])
def test_a_tag_must_be_the_version_of_the_package(tag, ok):
    [script] = [step["run"] for step in steps_of("build") if "GITHUB_REF_NAME" in step["run"]]
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "GITHUB_REF_NAME": tag}
    assert (subprocess.run(["bash", "-e", "-c", script], cwd=ROOT, env=environ, check=False).returncode == 0) is ok


def test_nothing_is_published_before_the_images_are_pushed_and_the_files_are_attested():
    jobs = yaml.safe_load(TEXTS["release.yml"])["jobs"]
    assert (jobs["publish"]["needs"], jobs["attach"]["needs"]) == (["attest", "image"], "publish")
    assert jobs["attest"]["needs"] == jobs["image"]["needs"] == "build"


def test_the_images_are_pushed_under_the_version_of_the_tag(tmp_path):
    (tmp_path / "docker").write_text('#!/bin/sh\necho "$@" >> calls\n')
    (tmp_path / "docker").chmod(0o755)
    [step] = steps_of("image")
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "Team/Proxy", "GITHUB_ACTOR": "someone"}
    environ |= {"GITHUB_REF_NAME": "v1.2.3", "TOKEN": "not-a-secret"}
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=environ, check=True)
    calls = (tmp_path / "calls").read_text()
    built = re.findall(
        r"^buildx build --push --sbom=true --provenance=mode=max --tag (\S+)(.*) \.$", calls, re.MULTILINE
    )
    assert built == [
        ("ghcr.io/team/proxy:1.2.3", ""),
        ("ghcr.io/team/proxy:1.2.3-database", " --build-arg DATABASE=true"),
    ]
    assert "not-a-secret" not in calls
