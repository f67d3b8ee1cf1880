"""Tasks of a coding agent, decided by rules that only the long texts of its tools have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..task import Task
from .build import call, has, task
from .coding_tools import CODING_AGENT

KIND = "coding agent"
SYSTEM = (
    "You are a coding agent in a terminal. Working directory: /home/ana/shop. Heed what the tools say of their use."
)
CLIENT = """\
1\tdef download(url):
2\t    timeout = 30
3\t    return http.get(url, timeout=timeout)
4\t
5\tdef upload(url, data):
6\t    timeout = 30
7\t    return http.post(url, data, timeout=timeout)"""
ANY = has(".", "Work on it")
_PATH = "/home/ana/shop/src/client.py"


def coding() -> list[Task]:
    around: dict[str, Any] = {"-C": 2}
    return [
        _task(
            "absolute path",
            "Show me src/settings.py.",
            rules=["It must be absolute"],
            steps=[[call("Read", file_path=has(r"^/home/ana/shop/src/settings\.py$"))]],
            mistaken=[call("Read", file_path="src/settings.py")],
        ),
        _task(
            "milliseconds",
            "Run `make slow`. It takes up to eight minutes, so allow it as much.",
            rules=["Time limit in milliseconds"],
            steps=[[call("Bash", command=has("make slow"), timeout=480_000, description=ANY)]],
            mistaken=[call("Bash", command="make slow", timeout=480, description="Run the slow tests")],
        ),
        _task(
            "needed argument",
            "Show me each place in src that raises ValueError, with two lines around it.",
            rules=["Lines to show around each match. Needs output_mode content"],
            steps=[[call("Grep", pattern=has("ValueError"), output_mode="content", **around)]],
            mistaken=[call("Grep", pattern="raise ValueError", path="src", **around)],
        ),
        _task(
            "read first",
            "In /home/ana/shop/NOTES.md, replace 'Monday' with 'Tuesday'.",
            rules=["Read the file with the tool Read before its first edit"],
            allowed=["Grep"],
            steps=[
                [call("Read", "1\tThe shop opens on Monday.", file_path=has(r"/NOTES\.md$"))],
                [call("Edit", file_path=has(r"/NOTES\.md$"), old_string=has("Monday"), new_string=has("Tuesday"))],
            ],
            mistaken=[
                call("Edit", file_path="/home/ana/shop/NOTES.md", old_string="Monday", new_string="Tuesday"),
            ],
        ),
        Task(
            "unique text",
            KIND,
            [
                *_after_reading(),
                {"role": "user", "content": "Raise the timeout of upload to 60 seconds, with one edit."},
            ],
            tools=CODING_AGENT,
            rules=["An edit is refused where old_string occurs more than once"],
            steps=[
                [
                    call(
                        "Edit",
                        file_path=has(r"/client\.py$"),
                        old_string=has(
                            r"(?s)upload.*timeout = 30|timeout = 30.*http\.post",
                            "def upload(url, data):\n    timeout = 30",
                        ),
                        new_string=has("timeout = 60", "def upload(url, data):\n    timeout = 60"),
                    )
                ]
            ],
            mistaken=[
                call("Edit", file_path=_PATH, old_string="    timeout = 30", new_string="    timeout = 60"),
            ],
        ),
        _task(
            "pages",
            "Read pages 1 to 50 of /home/ana/docs/handbook.pdf.",
            rules=["One call returns 20 pages at most"],
            steps=[
                [
                    call(
                        "Read", file_path=has(r"/handbook\.pdf$"), pages=has(rf"^{first}\D+{last}$", f"{first}-{last}")
                    )
                    for first, last in ((1, 20), (21, 40), (41, 50))
                ]
            ],
            mistaken=[call("Read", file_path="/home/ana/docs/handbook.pdf", pages="1-50")],
        ),
        _task(
            "another tool",
            "What does https://github.com/acme/shop/pull/1421 change?",
            rules=["This tool is not logged in at github.com"],
            steps=[[call("Bash", command=has(r"\bgh\b.*1421", "gh pr view 1421 --repo acme/shop"), description=ANY)]],
            mistaken=[call("WebFetch", url="https://github.com/acme/shop/pull/1421", prompt="What does it change?")],
        ),
        _task(
            "whole list",
            "My steps: 'Fix the login' is completed, 'Write the docs' is in progress, 'Release it' is pending. The docs are "
            "finished now; the release has to wait. Bring the list up to date.",
            rules=["A call replaces the whole list"],
            steps=[
                [
                    call(
                        "TodoWrite",
                        todos=[
                            _step("Fix the login", "completed"),
                            _step("Write the docs", "completed"),
                            _step("Release it", "pending"),
                        ],
                    )
                ]
            ],
            mistaken=[call("TodoWrite", todos=[_step("Write the docs", "completed")])],
        ),
        _task(
            "commit message",
            "Commit what is staged, with the message 'Fix the total'. I have checked it: commit at once.",
            rules=["The message of every commit ends with the line"],
            steps=[
                [
                    call(
                        "Bash",
                        command=has(
                            "(?s)git commit.*Fix the total.*Assisted-by: coding-agent",
                            'git commit -m "Fix the total" -m "Assisted-by: coding-agent"',
                        ),
                        description=ANY,
                    )
                ]
            ],
            mistaken=[call("Bash", command='git commit -m "Fix the total"', description="Commit what is staged")],
        ),
        _task(
            "announced deletion",
            "Remove the folder build: it has nothing but output.",
            rules=["the first word is DELETES"],
            steps=[
                [
                    call(
                        "Bash",
                        command=has(r"\brm\b.*\bbuild\b", "rm -r build"),
                        description=has(r"^\W*DELETES\b", "DELETES build"),
                    )
                ]
            ],
            mistaken=[call("Bash", command="rm -r build", description="Remove the folder build")],
        ),
    ]


def _task(name: str, user: str, **fields: Any) -> Task:
    return task(KIND, name, user, system=SYSTEM, tools=CODING_AGENT, **fields)


def _step(content: str, status: str) -> Mapping[str, Any]:
    return {"content": has(content), "status": status, "activeForm": ANY}


def _after_reading() -> Sequence[Mapping[str, Any]]:
    """Return a conversation in which the agent has read a file."""
    read = {"name": "Read", "arguments": f'{{"file_path": "{_PATH}"}}'}
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "What is in src/client.py?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": read}]},
        {"role": "tool", "tool_call_id": "call_1", "content": CLIENT},
        {"role": "assistant", "content": "Two functions, download and upload. Each has a timeout of 30 seconds."},
    ]
