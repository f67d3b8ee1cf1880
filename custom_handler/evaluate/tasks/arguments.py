"""Tasks of one reply: long arguments, and those with characters that have to be escaped."""

from __future__ import annotations

from ..task import ExpectedCall, Task
from . import tools as t
from .build import CODE, POEM, call, has, task


def long() -> list[Task]:
    kind = "long arguments"
    return [
        task(
            kind,
            "code",
            f"Write this to steps.py, exactly as it is, with one call:\n\n{CODE}",
            tools=t.CODING,
            steps=[[ExpectedCall("write_file", {"path": has(r"steps\.py$"), "content": CODE})]],
        ),
        task(
            kind,
            "poem",
            f"Grave este texto em poema.txt, sem mudar nada:\n\n{POEM}",
            tools=t.CODING,
            steps=[[ExpectedCall("write_file", {"path": has(r"poema\.txt$"), "content": POEM})]],
        ),
        task(
            kind,
            "json-in-string",
            'Write {"a": "x\\ny", "b": [1, 2]} to data.json with write_file.',
            tools=t.CODING,
            steps=[
                [
                    call(
                        "write_file",
                        path=has(r"data\.json$"),
                        content=has(
                            r'\{\s*"a":\s*"x\\ny",\s*"b":\s*\[\s*1,\s*2\s*\]\s*\}', '{"a": "x\\ny", "b": [1, 2]}'
                        ),
                    )
                ]
            ],
        ),
        task(
            kind,
            "pattern",
            "Search the files in src for the regular expression ^\\s*def \\w+\\(self\\) with grep.",
            tools=t.CODING,
            steps=[[ExpectedCall("grep", {"pattern": r"^\s*def \w+\(self\)", "path": has("src")})]],
        ),
        task(
            kind,
            "windows-path",
            "Read the file C:\\Users\\novo\\teste.txt.",
            tools=[t.READ],
            steps=[[ExpectedCall("read_file", {"path": r"C:\Users\novo\teste.txt"})]],
        ),
        task(
            kind,
            "edit",
            'In app.py replace exactly\n    print("a")\nwith\n    print("b")\n',
            tools=[t.EDIT],
            steps=[[call("edit_file", path=has(r"app\.py$"), old=has(r'print\("a"\)'), new=has(r'print\("b"\)'))]],
        ),
    ]
