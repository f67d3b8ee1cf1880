"""The one-time code of the playground: once, for five minutes, for few attempts, in all workers together."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from custom_handler.proxy.playground_code import LIFETIME, MAX_ATTEMPTS, VARIABLE, PlaygroundCode
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "code"


def test_a_code_works_once(file: Path, clock: Clock):
    code = PlaygroundCode(file, clock).issue()
    worker = PlaygroundCode(file, clock)
    assert [worker.redeem(code), worker.redeem(code)] == [True, False]
    assert list(file.parent.iterdir()) == []


def test_one_of_many_workers_at_a_time_gets_it(file: Path, clock: Clock):
    for _ in range(20):
        code = PlaygroundCode(file, clock).issue()
        workers = [PlaygroundCode(file, clock) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(lambda worker, code=code: worker.redeem(code), workers)) == 1


@pytest.mark.parametrize(("age", "valid"), [(0.0, True), (LIFETIME - 1, True), (LIFETIME, False), (1e6, False)])
def test_a_code_is_valid_for_five_minutes(file: Path, clock: Clock, age: float, valid: bool):
    issued = PlaygroundCode(file, clock)
    code = issued.issue()
    clock.now += age
    assert issued.redeem(code) is valid
    assert not file.exists(), "used or too old, it is removed"


def test_a_wrong_code_uses_an_attempt_and_few_are_allowed(file: Path, clock: Clock):
    issued = PlaygroundCode(file, clock)
    code = issued.issue()
    wrong = ["", code[:-1], code + "x", "\ud800"]
    assert len(wrong) == MAX_ATTEMPTS - 1
    assert [issued.redeem(text) for text in wrong] == [False] * len(wrong)
    assert issued.redeem(code)

    code = issued.issue()
    assert not any(PlaygroundCode(file, clock).redeem("wrong") for _ in range(MAX_ATTEMPTS))
    assert not issued.redeem(code)
    assert not file.exists()


def test_without_an_issued_code_each_one_is_wrong(file: Path, clock: Clock):
    assert not PlaygroundCode(file, clock).redeem("")
    assert not file.exists(), "an attempt creates no file"
    assert not PlaygroundCode(None).redeem("")
    assert PlaygroundCode(None).issue() == ""


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a b c\n", b"\xff\n", "é 9e9\n".encode(), b"digest never\n", b"digest nan\n"]
)
def test_a_broken_file_opens_nothing(file: Path, clock: Clock, content: bytes):
    file.write_bytes(content)
    assert not PlaygroundCode(file, clock).redeem("")
    assert not PlaygroundCode(file, clock).redeem("digest")


def test_a_new_code_replaces_the_one_before(file: Path, clock: Clock):
    issued = PlaygroundCode(file, clock)
    first, second = issued.issue(), issued.issue()
    assert first != second
    assert [issued.redeem(first), issued.redeem(second)] == [False, True]


def test_the_file_is_for_its_owner_and_does_not_hold_the_code(file: Path, clock: Clock):
    code = PlaygroundCode(file, clock).issue()
    assert len(code) >= 32
    assert code not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_proxy_without_a_place_for_the_file_has_no_code(tmp_path: Path):
    assert PlaygroundCode(tmp_path / "none" / "code").issue() == ""


def test_the_workers_of_a_proxy_find_the_code_by_their_environment(file: Path, monkeypatch: pytest.MonkeyPatch):
    issued = PlaygroundCode(file)
    code = issued.issue()
    for name, value in issued.environ().items():
        monkeypatch.setenv(name, value)
    assert PlaygroundCode.of_this_process().redeem(code)
    monkeypatch.delenv(VARIABLE)
    assert PlaygroundCode.of_this_process().environ() == PlaygroundCode(None).environ() == {}
