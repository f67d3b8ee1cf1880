"""Files of other projects in the package: each is listed, is what was listed, and has its licence beside it."""

from __future__ import annotations

import hashlib

import pytest

from tests.support.processes import ROOT

PACKAGE = ROOT / "custom_handler"
LISTED = [line.split() for line in (ROOT / ".ci" / "vendored.txt").read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(("digest", "file", "package", "release", "licence", "origin"), LISTED)
def test_a_file_is_that_of_its_release(digest, file, package, release, licence, origin):
    path = PACKAGE / file
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, f"{file} is not {origin} of {package} {release}"
    text = path.with_name(f"{path.name.partition('.')[0]}.LICENSE").read_text()
    words = {"MIT": "without restriction", "BSD-3-Clause": "Redistribution and use", "MPL-2.0-OR-Apache-2.0": "Apache"}
    assert words[licence] in text
    table = (ROOT / "docs" / "dependencies.md").read_text().lower()
    assert f"{package} {release}".lower() in table, (
        f"docs/dependencies.md does not say why {package} {release} is there"
    )


def test_every_minified_or_vendored_file_is_listed():
    found = {*PACKAGE.rglob("*.min.*"), *PACKAGE.glob("**/vendor/*.js"), *PACKAGE.glob("**/vendor/*.css")}
    assert {file.relative_to(PACKAGE).as_posix() for file in found} == {file for _, file, *_ in LISTED}
