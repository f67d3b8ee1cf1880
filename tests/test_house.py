"""The house stands as `docs/architecture.md` draws it: stairs only go down, and each door is where it belongs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[1] / "custom_handler"
FLOORS = [  # from the ground up
    {"attachments", "env_file", "errors", "events", "measures", "parameters", "request", "settings"},
    {"emulation", "stackspot"},
    {"conversation", "heard", "turn"},
    {"call", "replies", "handler"},
    {"service", "report"},
    {"__init__", "cli", "__main__", "launcher", "preflight", "reference"},
]
NETWORK = {
    "httpx",
    "httpcore",
    "aiohttp",
    "requests",
    "urllib",
    "socket",
    "ssl",
    "http",
    "websockets",
    "redis",
    "limits",
}


def rooms_of(module: Path, source: str) -> tuple[str, set[str], set[str]]:
    """The room that a module is in, the rooms of ours that it imports from, and the other packages that it imports."""
    inside = ("custom_handler", *module.with_suffix("").parts)
    imported: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {tuple(name.name.split(".")) for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = inside[: -node.level] if node.level else ()
            module = (*start, *(node.module or "").split(".")) if node.module else start
            imported |= {(*module, name.name) for name in node.names}
    ours = {path[1] for path in imported if path[0] == "custom_handler"}
    return inside[1], ours, {path[0] for path in imported if path[0] != "custom_handler"}


MODULES = {
    file.relative_to(HOUSE).as_posix(): rooms_of(file.relative_to(HOUSE), file.read_text(encoding="utf-8"))
    for file in HOUSE.rglob("*.py")
}


def floor(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def test_every_room_has_its_floor():
    assert {room for room, *_ in MODULES.values()} == {"simulator"}.union(*FLOORS)


@pytest.mark.parametrize("module", MODULES)
def test_stairs_only_go_down(module):
    room, ours, _ = MODULES[module]
    if room == "simulator":  # the garden
        assert ours <= {"simulator"}
    elif room == "__init__":
        assert ours <= {"handler", "service"}
    else:
        neighbours = FLOORS[floor(room)] if floor(room) in {0, 2, 3, 5} else {room}
        below = set().union({"errors"}, *FLOORS[: floor(room)])
        gate = {"simulator"} if floor(room) == 5 else set()
        assert ours <= below | neighbours | gate


@pytest.mark.parametrize("module", MODULES)
def test_litellm_is_known_from_the_salon_upward_only(module):
    room, _, others = MODULES[module]
    assert not {"litellm", "openai"} & others or room in {"replies", "handler", "service", "__init__"}


@pytest.mark.parametrize("module", MODULES)
def test_the_network_is_known_to_the_transport_and_the_simulators_server_only(module):
    door = {
        "stackspot/transport.py",
        "stackspot/async_http.py",
        "stackspot/redis_link.py",
        "stackspot/public_web.py",
        "service/jobs/redis_store.py",
        "service/jobs/queue.py",
        "simulator/server.py",
        "launcher/process.py",
        "preflight.py",
        "service/reach.py",
        "service/pings.py",
        "service/remote.py",
        "service/router.py",
        "service/inside.py",
    }
    types_only = {
        "call.py": {"httpx"},
        "stackspot/forms.py": {"httpx"},
        "replies.py": {"httpx"},
        "stackspot/troubles.py": {"httpx"},
        "simulator/tokens.py": {"urllib"},
        "service/query_key.py": {"urllib"},
        "service/settings_checks.py": {"httpx", "redis"},  # it reads addresses
        "service/telemetry/calls.py": {"urllib"},
    }
    assert not (NETWORK & MODULES[module][2]) - types_only.get(module, set()) or module in door


@pytest.mark.parametrize(
    "source",
    [
        "from ..handler import a",
        "from .. import handler",
        "import custom_handler.handler as h",
        "def f():\n from custom_handler.handler import a",
    ],
)
def test_no_form_of_an_import_escapes_the_eye(source):
    assert rooms_of(Path("stackspot/sse.py"), source)[:2] == ("stackspot", {"handler"})
