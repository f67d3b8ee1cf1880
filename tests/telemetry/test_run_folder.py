"""The folder of a run and its manifest."""

from __future__ import annotations

import json
import multiprocessing
import platform

import pytest

from custom_handler.telemetry.run_folder import RunFolder

MODELS = [{"name": "chat", "provider": "stackspot", "model": "chat"}]


def test_a_manifest_describes_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_SHA", "0123abc")
    folder = RunFolder(tmp_path / "runs", MODELS).interactions().parent
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["run_id"] == folder.name
    assert manifest["git_sha"] == "0123abc"
    assert manifest["python"] == platform.python_version()
    assert manifest["dependencies"]["litellm"] == "1.108.7"
    assert manifest["models"] == MODELS
    assert manifest["started_at"].startswith("20")


def test_without_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.delenv("GIT_SHA", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(tmp_path).interactions().parent
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["git_sha"] is None


@pytest.mark.slow
def test_the_commit_is_that_of_the_working_directory(tmp_path, monkeypatch):
    import subprocess

    monkeypatch.delenv("GIT_SHA", raising=False)
    monkeypatch.chdir(tmp_path)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *command], check=True)
    folder = RunFolder(tmp_path / "runs").interactions().parent
    sha = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["git_sha"]
    assert (
        sha == subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    )


def _locate(directory, results):
    results.put(str(RunFolder(directory).interactions()))


@pytest.mark.slow
def test_all_workers_of_one_proxy_write_into_one_run(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=_locate, args=(tmp_path, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = {results.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join(60)
    assert len(found) == 1
    assert found == {str(RunFolder(tmp_path).interactions())}


def test_a_folder_that_cannot_be_created_is_an_oserror(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="file"):
        RunFolder(tmp_path / "file" / "runs").interactions()
