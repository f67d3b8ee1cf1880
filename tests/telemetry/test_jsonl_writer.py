"""The file of the calls, written by a background thread."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from custom_handler.telemetry import jsonl_writer as module
from custom_handler.telemetry.jsonl_writer import JsonLinesWriter

PACKAGE = "custom_handler.telemetry.jsonl_writer"


def lines_of(*files: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines() if line]


def test_lines_are_written_in_order(tmp_path):
    writer = JsonLinesWriter(lambda: tmp_path / "lines.jsonl")
    for number in range(500):
        writer.write({"number": number, "text": "é\n"})
    assert writer.flush()
    assert lines_of(tmp_path / "lines.jsonl") == [{"number": number, "text": "é\n"} for number in range(500)]


def test_the_file_is_not_located_before_the_first_line(tmp_path):
    located = []
    writer = JsonLinesWriter(lambda: located.append(1) or tmp_path / "lines.jsonl")
    assert writer.flush()
    assert not located
    writer.write({})
    assert writer.flush()
    assert located == [1]


def test_write_does_not_wait_for_a_disk_that_hangs(tmp_path):
    free = threading.Event()

    def locate() -> Path:
        free.wait(10)
        return tmp_path / "lines.jsonl"

    writer = JsonLinesWriter(locate, waiting=10)
    for number in range(100):  # in this thread, which would hang here
        writer.write({"number": number})
    assert not writer.flush(timeout=0.01)
    free.set()
    assert writer.flush()
    assert 10 <= len(lines_of(tmp_path / "lines.jsonl")) < 100


def test_a_large_file_is_renamed_and_no_line_is_lost(tmp_path):
    writer = JsonLinesWriter(lambda: tmp_path / "lines.jsonl", limit=1000)
    for number in range(200):
        writer.write({"number": number})
    assert writer.flush()
    files = sorted(tmp_path.glob("lines*.jsonl"))
    assert len(files) > 2
    assert all(file.stat().st_size < 1100 for file in files)
    assert sorted(line["number"] for line in lines_of(*files)) == list(range(200))


class Disk:
    """Replaces `os.write`; it can be full, at once or after some bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._write = os.write
        self.full = False
        self.free_bytes: int | None = None
        monkeypatch.setattr(os, "write", self)
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)

    def __call__(self, file: int, data: bytes) -> int:
        if self.free_bytes is not None:
            free, self.free_bytes, self.full = self.free_bytes, None, True
            return self._write(file, data[:free])
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(file, data)


def test_a_full_disk_is_logged_once_and_the_lines_wait(tmp_path, monkeypatch, caplog, eventually):
    disk, writer = Disk(monkeypatch), JsonLinesWriter(lambda: tmp_path / "lines.jsonl")
    disk.full = True
    for number in range(20):
        writer.write({"number": number, "secret": "canary"})
        writer.flush(0.01)
    eventually(lambda: "No space left" in caplog.text)
    assert not writer.flush(0.05)
    disk.full = False
    eventually(lambda: "written again; 0 lines were lost" in caplog.text)
    assert writer.flush()
    assert [line["number"] for line in lines_of(tmp_path / "lines.jsonl")] == list(range(20))
    assert [record.levelno for record in caplog.records if record.name == PACKAGE] == [logging.WARNING] * 2
    assert "canary" not in caplog.text


def test_a_truncated_line_does_not_spoil_the_next(tmp_path, monkeypatch, caplog, eventually):
    disk, writer = Disk(monkeypatch), JsonLinesWriter(lambda: tmp_path / "lines.jsonl")
    writer.write({"number": 1})
    assert writer.flush()
    disk.free_bytes = 5
    writer.write({"number": 2})
    eventually(lambda: "cannot be written" in caplog.text)
    disk.full = False
    writer.write({"number": 3})
    assert eventually(writer.flush)
    written = (tmp_path / "lines.jsonl").read_text(encoding="utf-8").splitlines()
    assert written == ['{"number": 1}', '{"num', '{"number": 2}', '{"number": 3}']


def test_a_full_disk_does_not_fill_the_memory(tmp_path, monkeypatch, caplog, eventually):
    disk, writer = Disk(monkeypatch), JsonLinesWriter(lambda: tmp_path / "lines.jsonl", waiting=5)
    disk.full = True
    for number in range(20):
        writer.write({"number": number})
        writer.flush(0.05)
    disk.full = False
    eventually(lambda: "15 lines were lost" in caplog.text)
    assert [line["number"] for line in lines_of(tmp_path / "lines.jsonl")] == list(range(15, 20))


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mount is not permitted on this machine")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def whole_lines_of(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # the truncated line
            yield json.loads(line)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a file system")
def test_a_file_system_that_is_really_full_loses_no_line(small_disk, monkeypatch, caplog, eventually):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    ballast, lines = small_disk / "ballast", small_disk / "lines.jsonl"
    ballast.write_bytes(bytes(60 * 1024))
    writer = JsonLinesWriter(lambda: lines)
    for number in range(200):
        writer.write({"number": number, "padding": "x" * 100})
    eventually(lambda: "cannot be written" in caplog.text)
    ballast.unlink()
    eventually(lambda: "written again; 0 lines were lost" in caplog.text)
    assert writer.flush()
    assert [line["number"] for line in whole_lines_of(lines)] == list(range(200))


WRITER = """
import sys
from pathlib import Path
from custom_handler.telemetry.jsonl_writer import JsonLinesWriter
writer = JsonLinesWriter(lambda: Path(sys.argv[1]), limit=20_000)
for number in range(1000):
    writer.write({"who": sys.argv[2], "number": number})
assert writer.flush()
"""


@pytest.mark.slow
def test_processes_share_a_file(tmp_path):
    file = tmp_path / "lines.jsonl"
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, str(file), who]) for who in "ab"]
    assert [process.wait(300) for process in processes] == [0, 0]
    found = lines_of(*tmp_path.glob("lines*.jsonl"))
    assert sorted((line["who"], line["number"]) for line in found) == [(w, n) for w in "ab" for n in range(1000)]


@pytest.mark.slow
def test_a_forked_process_writes_for_itself(tmp_path):
    writer = JsonLinesWriter(lambda: tmp_path / "lines.jsonl")
    writer.write({"who": "parent"})
    assert writer.flush()
    if not (child := os.fork()):
        writer.write({"who": "child"})
        os._exit(0 if writer.flush() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [line["who"] for line in lines_of(tmp_path / "lines.jsonl")] == ["parent", "child"]
