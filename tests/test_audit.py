"""`make audit` and the files that run at every start of Python."""

from __future__ import annotations

import importlib.util
import shutil
import sysconfig
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SITE = Path(sysconfig.get_paths()["purelib"])


@pytest.fixture
def audit():
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_this_environment_has_no_file_that_nobody_listed(audit, capsys):
    assert audit.main(SITE) == 0, capsys.readouterr().err


def test_a_file_that_nobody_listed_fails(audit, tmp_path, capsys):
    (tmp_path / "litellm_init.pth").write_text("import os")
    assert audit.main(tmp_path) == 1
    assert "litellm_init.pth is not listed in pth.txt" in capsys.readouterr().err


def test_a_listed_file_that_is_not_its_packages_fails(audit, tmp_path, capsys):
    (tmp_path / "a1_coverage.pth").write_text("import os")
    (tmp_path / "other.pth").write_text("import os")
    assert audit.examine(tmp_path / "a1_coverage.pth", {"a1_coverage.pth": "coverage"}).endswith(
        "not what coverage installs."
    )
    assert "not installed" in audit.examine(tmp_path / "other.pth", {"other.pth": "no-such-package"})


def test_a_listed_file_that_was_changed_fails(audit, tmp_path, monkeypatch):
    metadata = tmp_path / "coverage-1.dist-info"
    metadata.mkdir()
    (metadata / "RECORD").write_text(f"a1_coverage.pth,sha256={'A' * 43},1\n")
    shutil.copy(SITE / "a1_coverage.pth", tmp_path)
    monkeypatch.setattr(audit.Distribution, "from_name", lambda _: PathDistribution(metadata))
    fault = audit.examine(tmp_path / "a1_coverage.pth", {"a1_coverage.pth": "coverage"})
    assert fault.endswith("not what coverage installs.")
