"""Where the milliseconds of a request go: py-spy's samples of the loaded proxy, by part.

A sample belongs to the plugin if the innermost frame of the proxy or of the plugin is the plugin's
(as in profile.py), and otherwise to the first part of LiteLLM with a frame in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .bench import Bench
from .figures import Figure
from .profile import innermost_owner, pinned, sample
from .servers import Proxy

ROW = "milliseconds of a whole answer"
OWN, BELOW = "plugin: its code", "plugin: the network and libraries below it"
SERVER = "LiteLLM: web server and framework"
_PROVIDER = "LiteLLM: openai/ and the network below it"
# The first that has a frame in a stack counts.
_LITELLM = (
    ("LiteLLM: Prometheus", ("/litellm/integrations/prometheus", "/prometheus_client/")),
    ("LiteLLM: log and cost of the call", ("/litellm_core_utils/litellm_logging.py", "/logging_worker.py")),
    (_PROVIDER, ("/litellm/llms/", "/openai/")),
    ("LiteLLM: router and call", ("/litellm/router.py", "/litellm/main.py", "/litellm/utils.py")),
    ("LiteLLM: authentication", ("/litellm/proxy/auth/",)),
    ("LiteLLM: the rest of the proxy", ("/litellm/proxy/",)),
)
PARTS = (OWN, BELOW, *(part for part, _ in _LITELLM), SERVER)
_ENTRY = ("/litellm/proxy/proxy_cli.py", "/litellm/proxy/middleware/")  # around every request


def parts(bench: Bench, sides: dict[str, tuple[Proxy, str]], milliseconds: dict[str, float]) -> list[Figure]:
    """Measure the parts of a whole answer for each side, whose CPU of a request is known."""
    figures = []
    for side, (server, model) in sides.items():
        with pinned(server.process):
            shares = _shares(sample(bench, "whole", model, server))
        figures += [
            Figure(ROW, f"{side}: {part}", "ms", [milliseconds[side] * shares[part]])
            for part in PARTS
            if part in shares
        ]
    return figures


def _shares(stacks: Iterable[tuple[list[str], int]]) -> dict[str, float]:
    """Return the share of each part, from 0 to 1."""
    counted: Counter[str] = Counter()
    for frames, count in stacks:
        counted[part_of(frames)] += count
    return {part: count / counted.total() for part, count in counted.items()}


def part_of(frames: Sequence[str]) -> str:
    """Return the part to which a stack belongs, from the root to the leaf."""
    owner = innermost_owner(frames)
    if "/custom_handler/" in owner:
        return OWN if owner is frames[-1] else BELOW
    inner = [frame for frame in frames if not any(entry in frame for entry in _ENTRY)]
    for part, places in _LITELLM:
        if any(place in frame for frame in inner for place in places):
            return part
    return SERVER
