"""The file that calls are written to, from a thread of its own."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from custom_handler.telemetry import jsonl_writer as module
from custom_handler.telemetry.jsonl_writer import JsonLinesWriter

PACKAGE = "custom_handler.telemetry.jsonl_writer"


def lines_of(*files: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines() if line]


def test_lines_are_written_in_the_order_in_which_they_came(tmp_path):
    journal = JsonLinesWriter(lambda: tmp_path / "lines.jsonl")
    for number in range(500):
        journal.write({"number": number, "text": "é\n"})
    assert journal.flush()
    assert lines_of(tmp_path / "lines.jsonl") == [{"number": number, "text": "é\n"} for number in range(500)]


def test_nothing_is_located_before_there_is_a_line(tmp_path):
    located = []
    journal = JsonLinesWriter(lambda: located.append(1) or tmp_path / "lines.jsonl")
    assert journal.flush()
    assert not located
    journal.write({})
    assert journal.flush()
    assert located == [1]


def test_a_call_does_not_wait_for_a_disk_that_hangs(tmp_path):
    free = threading.Event()

    def locate() -> Path:
        free.wait(10)
        return tmp_path / "lines.jsonl"

    journal = JsonLinesWriter(locate, waiting=10)
    for number in range(100):  # in this thread, which would hang here
        journal.write({"number": number})
    assert not journal.flush(timeout=0.01)
    free.set()
    assert journal.flush()
    assert 10 <= len(lines_of(tmp_path / "lines.jsonl")) < 100


def test_a_large_file_is_moved_aside_and_no_line_is_lost(tmp_path):
    journal = JsonLinesWriter(lambda: tmp_path / "lines.jsonl", limit=1000)
    for number in range(200):
        journal.write({"number": number})
    assert journal.flush()
    files = sorted(tmp_path.glob("lines*.jsonl"))
    assert len(files) > 2
    assert all(file.stat().st_size < 1100 for file in files)
    assert sorted(line["number"] for line in lines_of(*files)) == list(range(200))


class Disk:
    """Stands before `os.write`, and may be full, at once or after some bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._write = os.write
        self.full = False
        self.room: int | None = None
        monkeypatch.setattr(module.os, "write", self)
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)

    def __call__(self, file: int, data: bytes) -> int:
        if self.room is not None:
            room, self.room, self.full = self.room, None, True
            return self._write(file, data[:room])
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(file, data)


def test_a_full_disk_is_told_once_and_the_lines_wait_for_it(tmp_path, monkeypatch, caplog, eventually):
    disk, journal = Disk(monkeypatch), JsonLinesWriter(lambda: tmp_path / "lines.jsonl")
    disk.full = True
    for number in range(20):
        journal.write({"number": number, "secret": "canary"})
        journal.flush(0.01)
    eventually(lambda: "No space left" in caplog.text)
    assert not journal.flush(0.05)
    disk.full = False
    eventually(lambda: "written again; 0 lines were lost" in caplog.text)
    assert journal.flush()
    assert [line["number"] for line in lines_of(tmp_path / "lines.jsonl")] == list(range(20))
    assert [record.levelno for record in caplog.records if record.name == PACKAGE] == [logging.WARNING] * 2
    assert "canary" not in caplog.text


def test_a_line_that_a_full_disk_cut_spoils_no_other(tmp_path, monkeypatch, caplog, eventually):
    disk, journal = Disk(monkeypatch), JsonLinesWriter(lambda: tmp_path / "lines.jsonl")
    journal.write({"number": 1})
    assert journal.flush()
    disk.room = 5
    journal.write({"number": 2})
    eventually(lambda: "cannot be written" in caplog.text)
    disk.full = False
    journal.write({"number": 3})
    assert eventually(journal.flush)
    written = (tmp_path / "lines.jsonl").read_text(encoding="utf-8").splitlines()
    assert written == ['{"number": 1}', '{"num', '{"number": 2}', '{"number": 3}']


def test_a_disk_that_stays_full_does_not_fill_the_memory(tmp_path, monkeypatch, caplog, eventually):
    disk, journal = Disk(monkeypatch), JsonLinesWriter(lambda: tmp_path / "lines.jsonl", waiting=5)
    disk.full = True
    for number in range(20):
        journal.write({"number": number})
        journal.flush(0.05)
    disk.full = False
    eventually(lambda: "15 lines were lost" in caplog.text)
    assert [line["number"] for line in lines_of(tmp_path / "lines.jsonl")] == list(range(15, 20))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a file system")
def test_a_file_system_that_is_really_full_is_survived(tmp_path, monkeypatch, caplog, eventually):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False, capture_output=True
    ).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
        (disk / "ballast").write_bytes(bytes(60 * 1024))
        journal = JsonLinesWriter(lambda: disk / "lines.jsonl")
        for number in range(200):
            journal.write({"number": number, "padding": "x" * 100})
        eventually(lambda: "cannot be written" in caplog.text)
        (disk / "ballast").unlink()
        eventually(lambda: "written again; 0 lines were lost" in caplog.text)
        assert journal.flush()
        whole = []
        for line in (disk / "lines.jsonl").read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):  # the one that was cut
                whole.append(json.loads(line)["number"])
        assert whole == list(range(200))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


WRITER = """
import sys
from pathlib import Path
from custom_handler.telemetry.jsonl_writer import JsonLinesWriter
journal = JsonLinesWriter(lambda: Path(sys.argv[1]), limit=20_000)
for number in range(1000):
    journal.write({"who": sys.argv[2], "number": number})
assert journal.flush()
"""


def test_workers_share_a_file_without_spoiling_a_line(tmp_path):
    file = tmp_path / "lines.jsonl"
    workers = [subprocess.Popen([sys.executable, "-c", WRITER, str(file), who]) for who in "ab"]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    found = lines_of(*tmp_path.glob("lines*.jsonl"))
    assert sorted((line["who"], line["number"]) for line in found) == [(w, n) for w in "ab" for n in range(1000)]


def test_a_forked_process_writes_for_itself(tmp_path):
    journal = JsonLinesWriter(lambda: tmp_path / "lines.jsonl")
    journal.write({"who": "parent"})
    assert journal.flush()
    if not (child := os.fork()):
        journal.write({"who": "child"})
        os._exit(0 if journal.flush() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [line["who"] for line in lines_of(tmp_path / "lines.jsonl")] == ["parent", "child"]
