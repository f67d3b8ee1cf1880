"""A proxy without a master key gets one."""

from __future__ import annotations

import logging
import re
import stat
from typing import Any

import pytest

from custom_handler.proxy.master_key import NAME, ensure_master_key

REFERENCE = f"os.environ/{NAME}"


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    """Unset the key; restore what the code sets."""
    for name in (NAME, "MY_KEY"):
        monkeypatch.setenv(name, "")


def ensured(folder, general_settings: dict[str, Any], written: object = REFERENCE) -> object:
    ensure_master_key(general_settings, folder, written)
    return general_settings.get("master_key")


@pytest.mark.parametrize("general_settings", [{}, {"master_key": None}, {"master_key": ""}, {"master_key": REFERENCE}])
@pytest.mark.parametrize("before", [None, "REALM=a\n", f"{NAME}=\nREALM=a\n"])
def test_a_key_is_written_once_and_used_again(tmp_path, monkeypatch, caplog, general_settings, before):
    if before is not None:
        (tmp_path / ".env").write_text(before, encoding="utf-8")
    with caplog.at_level(logging.INFO, "custom_handler"):
        key = ensured(tmp_path, dict(general_settings))
        monkeypatch.setenv(NAME, "")
        assert ensured(tmp_path, dict(general_settings)) == key
    assert re.fullmatch(r"sk-[\w-]{40,}", str(key))
    text = (tmp_path / ".env").read_text(encoding="utf-8")
    assert text.count(f"{NAME}={key}\n") == text.count(NAME) == 1
    assert before is None or "REALM=a\n" in text
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    [line] = caplog.messages
    assert str(tmp_path / ".env") in line
    assert str(key) not in line


@pytest.mark.parametrize(
    ("environ", "general_settings", "written", "key"),
    [
        ({NAME: "sk-a"}, {"master_key": None}, REFERENCE, "sk-a"),
        ({NAME: "sk-a"}, {}, None, "sk-a"),
        ({}, {"master_key": "sk-b"}, "sk-b", "sk-b"),
        ({NAME: "sk-a"}, {"master_key": "sk-b"}, "sk-b", "sk-b"),
        ({"MY_KEY": "sk-c", NAME: "sk-a"}, {"master_key": None}, "os.environ/MY_KEY", "sk-c"),
    ],
    ids=["of the environment", "without a reference", "of config.yaml", "config.yaml first", "of another variable"],
)
def test_an_existing_key_is_not_replaced(tmp_path, monkeypatch, environ, general_settings, written, key):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert ensured(tmp_path, general_settings, written) == key
    assert not (tmp_path / ".env").exists()


def test_without_a_writable_file_no_key_is_set(tmp_path, caplog):
    assert ensured(tmp_path / "missing", {"master_key": None}) is None
    [line] = caplog.messages
    assert re.match(rf"{NAME} is not set, and \S+\.env cannot be written \(FileNotFoundError\)", line)
