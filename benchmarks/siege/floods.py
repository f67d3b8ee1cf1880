"""Attacks by names, fields and files: very long, very many, or both."""

from __future__ import annotations

import functools
import json

from ..protocols import PATHS
from .bodies import EVERY_PATH, GEMINI
from .ground import REFUSED, Answer, Ground, Outcome, chat, outcome_of

_MEGABYTE = 1_000_000
_FORM = "application/x-www-form-urlencoded"
_UPLOAD = "multipart/form-data; boundary=siege"
_FILE = b'Content-Disposition: form-data; name="file"; filename="a"'
_FIELD = b'Content-Disposition: form-data; name="purpose"'


async def unknown_models(ground: Ground) -> Outcome:
    """Ask for a model whose name has a megabyte, and for many that do not exist, on each protocol."""
    await ground.script()
    answers: list[Answer] = []
    for name in ("a" * _MEGABYTE, "ã" * (_MEGABYTE // 2), "stackspot/" * (_MEGABYTE // 10)):
        for path in EVERY_PATH[: ground.size(len(EVERY_PATH), 2)]:
            ground.step(f"{name[:9]}…, {path}")
            answers.append(await ground.ask(path, chat("Oi", path=path, model=name)))
    ground.step("many names")
    answers += await ground.together(
        ground.size(300, 12),
        lambda number: ground.ask(PATHS[number % 3], chat("Oi", path=PATHS[number % 3], model=f"m{number}")),
    )
    return outcome_of(answers, REFUSED)


async def many_fields(ground: Ground) -> Outcome:
    """Send bodies of very many fields, at each level, as JSON and as forms."""
    await ground.script()
    count = ground.size(190_000, 60_000)
    fields = {f"f{number}": 0 for number in range(count)}
    bodies = {
        "fields of the body": fields,
        "fields of metadata": {"metadata": fields},
        "a field of many values": {"user": list(range(count))},
        "a message of many fields": {"messages": [{"role": "user", "content": "Oi"} | fields]},
    }
    answers: list[Answer] = []
    for name, more in bodies.items():
        for path in (PATHS[0], GEMINI) if ground.quick else EVERY_PATH:
            ground.step(f"{name}, {path}")
            answers.append(await ground.ask(path, json.dumps(chat("Oi", path=path) | more).encode()))
    size = ground.size(30, 10) * _MEGABYTE
    forms = {
        "empty fields": b"&" * size,
        "fields of a form": b"a=1&" * (size // 4),
        "a long field": b"a=" + b"1" * size,
    }
    for name, form in forms.items():
        ground.step(name)
        answers.append(await ground.ask(PATHS[0], form, headers={"Content-Type": _FORM}))
    return outcome_of(answers, {200, 202, *REFUSED})


async def multipart(ground: Ground) -> Outcome:
    """Send uploads of any form and size at once, with the key and with a wrong one."""
    await ground.script()
    size = ground.size(30, 8) * _MEGABYTE
    uploads = {
        "a file": _part(_FILE, b"a" * size),
        "a file of carriage returns": _part(_FILE, b"\r" * (size // 4)),
        "a file that seems to end": _part(_FILE, b"\r\n--sieg" * (size // 8)),
        "a long header": _part(_FILE + b"\r\nX: " + b"a" * size, b""),
        "many headers": _part(_FILE + b"\r\nX: a" * (size // 6), b""),
        "1,000 files": b"".join(_part(_FILE, b"a" * (size // 1000)) for _ in range(1000)),
        "many fields": _part(_FIELD, b"a") * (size // 100),
        "a long field": _part(_FIELD, b"a" * size),
        "no end": b"--siege\r\n" + _FILE + b"\r\n\r\n" + b"a" * size,
        "too large": _part(_FILE, b"a" * 40 * _MEGABYTE),
    }
    answers: list[Answer] = []
    for name, body in uploads.items():
        ground.step(name)
        for path in ("/v1/files", PATHS[0])[: ground.size(2, 1)]:
            sent = body if name in {"no end", "too large"} else body + b"--siege--\r\n"
            answers += await ground.together(ground.size(6, 2), functools.partial(_upload, ground, path, sent))
    return outcome_of(answers, REFUSED)


async def _upload(ground: Ground, path: str, body: bytes, number: int) -> Answer:
    headers = {"Content-Type": _UPLOAD}
    if number % 2:
        headers["Authorization"] = f"Bearer sk-wrong-{number}"
    return await ground.ask(path, body, headers=headers)


def _part(headers: bytes, content: bytes) -> bytes:
    return b"--siege\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"
