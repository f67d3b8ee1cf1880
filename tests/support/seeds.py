"""Runs the commands of a seed document as they stand there, but for the host and the key."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.proxy import Proxy


def run(command: str, proxy: Proxy, folder: Path) -> str:
    """Run a shell command; `curl` sends the proxy's key, and where there is no `jq` Python writes its JSON."""
    if shutil.which("jq") is None:
        (folder / "jq").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m json.tool --no-ensure-ascii "$@"\n')
        (folder / "jq").chmod(0o755)
    (folder / "curl.conf").write_text(f'header = "Authorization: Bearer {proxy.key}"\n')
    for host in ("http://127.0.0.1:8000", "http://localhost:8000"):
        command = command.replace(host, proxy.url)
    environ = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "no_proxy": "127.0.0.1"}
    command = command.replace("curl ", f"curl --config {folder / 'curl.conf'} ")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], env=environ, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()
