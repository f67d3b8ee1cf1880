"""HAProxy before the proxies: its configuration, and the process."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from .. import servers

# A request is sent again only if no connection was made, so that the agent is never asked twice.
_CONFIG = """\
global
    maxconn 4000
defaults
    mode http
    timeout connect 2s
    timeout client 15m
    timeout server 15m
    timeout check 5s
    retries 3
    retry-on conn-failure
    option redispatch 1
frontend clients
    bind 127.0.0.1:{port}
    default_backend proxies
backend proxies
    balance leastconn
    option httpchk GET /health/readiness
    default-server check inter 1s fall 3 rise 1
{servers}
"""


def config(port: int, addresses: Sequence[str]) -> str:
    """Return the configuration for a port and the proxies at these addresses (`host:port`)."""
    lines = (f"    server proxy-{number} {address}" for number, address in enumerate(addresses, 1))
    return _CONFIG.format(port=port, servers="\n".join(lines))


@contextlib.contextmanager
def balancer(directory: Path, addresses: Sequence[str]) -> Iterator[str]:
    """Run HAProxy before the proxies; yield its URL."""
    port, file, log = servers.free_port(), directory / "haproxy.cfg", directory / "haproxy.log"
    file.write_text(config(port, addresses))
    with servers.running([haproxy(), "-db", "-f", str(file)], log, {}) as process:
        servers.wait_until_answered(f"http://127.0.0.1:{port}/health/liveliness", log, process)
        yield f"http://127.0.0.1:{port}"


def haproxy() -> str:
    """Return the path of HAProxy; Debian has it where only root's PATH looks."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError("haproxy is missing: apt-get install haproxy")
    return found
