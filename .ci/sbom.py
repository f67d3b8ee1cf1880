"""Complete the bill of materials that cyclonedx-py has written: `sbom.py build/sbom.cdx.json`.

It reads requirements.lock and knows neither the package's version, which is dynamic, nor the files of other projects within
the package (`.ci/vendored.txt`).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]


def vendored() -> list[dict[str, Any]]:
    """Return a component for each file of another project within the package."""
    lines = (ROOT / ".ci" / "vendored.txt").read_text(encoding="utf-8").splitlines()
    components = []
    for digest, file, package, release, licence, _ in (line.split() for line in lines if line and line[0] != "#"):
        components.append(
            {
                "bom-ref": f"vendored:{file}",
                "type": "library",
                "name": package,
                "version": release,
                "description": f"custom_handler/{file}",
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "licenses": [{"expression": licence.replace("-OR-", " OR ")}],
                "purl": f"pkg:npm/{quote(package, safe='/')}@{release}",
            }
        )
    return components


def complete(bill: dict[str, Any]) -> dict[str, Any]:
    """Return the bill with the package's version, the vendored files, and what the package consists of."""
    init = (ROOT / "custom_handler" / "__init__.py").read_text(encoding="utf-8")
    version = re.findall(r'^__version__ = "(.+)"', init, re.MULTILINE)[0]
    root = bill["metadata"]["component"] | {"version": version, "purl": f"pkg:pypi/stackspot-litellm@{version}"}
    components = [*bill["components"], *vendored()]
    others = [entry for entry in bill["dependencies"] if entry["ref"] != root["bom-ref"]]
    parts = {"ref": root["bom-ref"], "dependsOn": sorted({component["bom-ref"] for component in components})}
    files = [{"ref": component["bom-ref"]} for component in vendored()]
    metadata = bill["metadata"] | {"component": root}
    return bill | {"metadata": metadata, "components": components, "dependencies": [*others, *files, parts]}


if __name__ == "__main__":
    FILE = Path(sys.argv[1])
    FILE.write_text(
        json.dumps(complete(json.loads(FILE.read_text(encoding="utf-8"))), indent=2) + "\n", encoding="utf-8"
    )
