"""Attacks by an agent, or by what the agent was told: responses that are endless, broken, slow or forged."""

from __future__ import annotations

import asyncio
import base64
import itertools
import re
from typing import Any

from .. import servers
from ..protocols import PATHS
from .ground import REFUSED, UPSTREAM, Ground, Outcome, chat, outcome_of

LENGTH = re.compile(r'"(?:finish_reason|stop_reason|reason)": ?"(?:length|max_tokens|max_output_tokens)"')
TOOL = {"type": "function", "function": {"name": "work", "parameters": {"type": "object"}}}
_BLOCK = "FUNCTION_CALL_START\nwork\narguments: {}\nFUNCTION_CALL_END\n"


async def endless_whole(ground: Ground) -> Outcome:
    """Ask for answers without an end, whole, on all protocols at once."""
    return await _endless(ground, stream=False)


async def endless_streamed(ground: Ground) -> Outcome:
    """Ask for answers without an end, streamed, on all protocols at once."""
    return await _endless(ground, stream=True)


async def _endless(ground: Ground, *, stream: bool) -> Outcome:
    await ground.script({"match": "<endless>", "fault": "endless_text", "text": "", "times": "always"})
    count = ground.size(6, 3)

    def ask(number: int) -> Any:
        path = PATHS[number % 3]
        return ground.ask(path, chat("<endless>", path=path, stream=stream), leave_after=ground.size(60, 20))

    answers = await ground.together(count, ask)
    outcome = outcome_of(answers, (200,))
    cut = sum(LENGTH.search(answer.text) is not None for answer in answers)
    outcome.expect(cut == count, f"{count - cut} of {count} answers did not end because of their length")
    outcome.said += f", {sum(len(answer.text) for answer in answers) / 1e6:.0f} MB, {cut} cut"
    return outcome


async def endless_frame(ground: Ground) -> Outcome:
    """Ask for frames without an end, whole and streamed."""
    await ground.script({"match": "<frame>", "fault": "endless_frame", "text": "", "times": "always"})
    return await _all_ways(ground, "<frame>", UPSTREAM, rounds=ground.size(2, 1))


async def brackets(ground: Ground) -> Outcome:
    """Ask for a frame, an answer, arguments and an HTTP body of 100,000 brackets."""
    many = "[" * 100_000
    frame = base64.b64encode(f"data: {many}\n\n".encode()).decode()
    always = {"times": "always"}
    await ground.script(
        {"match": "<frame>", "raw": [frame], **always},
        {"match": "<answer>", "pieces": [many], **always},
        {"match": "<arguments>", "pieces": [_BLOCK.replace("{}", '{"a": ' + many)], **always},
        {"match": "<body>", "status": 400, "body": many, "headers": {"Content-Type": "application/json"}, **always},
    )
    outcome = Outcome()
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "<frame>": (UPSTREAM, {}),
        "<answer>": ((200, *UPSTREAM), {"response_format": {"type": "json_object"}}),
        "<arguments>": ((200, *UPSTREAM), {"tools": [TOOL]}),
        "<body>": ({*UPSTREAM, *REFUSED}, {}),
    }
    for text, (allowed, fields) in kinds.items():
        ground.step(text)
        found = await _all_ways(ground, text, allowed, paths=PATHS[: ground.size(3, 1)], **fields)
        outcome.faults += found.faults
        outcome.said += f"{', ' * bool(outcome.said)}{text}: {found.said}"
    return outcome


async def start_markers(ground: Ground) -> Outcome:
    """Ask for replies of 400 kB that consist of start markers, with and without a tool."""
    text = "FUNCTION_CALL_START\n" * ground.size(20_000, 10_000)
    pieces = [text[start : start + 4_000] for start in range(0, len(text), 4_000)]
    replies = {
        "<markers>": pieces,
        "<opened>": ["FUNCTION_CALL_START\nwork\narguments: ", *pieces],
        "<quoted>": ['FUNCTION_CALL_START\nwork\narguments: {"a": "', *pieces],
        "<calls>": [_BLOCK * 50] * 100,
    }
    await ground.script(*({"match": name, "pieces": found, "times": "always"} for name, found in replies.items()))
    outcome = Outcome()
    for name in list(replies)[:: ground.size(1, 2)]:
        for tools in ({}, {"tools": [TOOL]})[ground.size(0, 1) :]:
            ground.step(f"{name}, {len(tools)} tools")
            found = await _all_ways(ground, name, (200, *UPSTREAM), paths=PATHS[:1], **tools)
            outcome.faults += found.faults
            outcome.said = found.said
    return outcome


async def error_frames(ground: Ground) -> Outcome:
    """Ask for error frames in place of an answer; none may come as a good answer."""
    frames: list[Any] = [
        {"error": {"message": "the model stopped"}},
        {"type": "error", "code": "X_1", "details": "the model stopped"},
        {"type": "error", "error": {"message": "the model stopped"}},
    ]
    named = base64.b64encode(b'event: error\ndata: {"message": "the model stopped"}\n\n').decode()
    plays: list[dict[str, Any]] = [
        {"match": f"<error {number}>", "frames": [frame], "times": "always"} for number, frame in enumerate(frames)
    ]
    await ground.script(*plays, {"match": "<error 3>", "raw": [named], "times": "always"})
    ways = [
        (f"<error {number}>", path, stream)
        for number in range(len(frames) + 1)
        for path in PATHS
        for stream in (False, True)
    ]

    def ask(number: int) -> Any:
        text, path, stream = ways[number]
        return ground.ask(path, chat(text, path=path, stream=stream))

    answers = await ground.together(len(ways), ask)
    outcome = outcome_of(answers, UPSTREAM | REFUSED)
    said = sum("the model stopped" in answer.text for answer in answers)
    outcome.expect(
        said == len(answers), f"{len(answers) - said} of {len(answers)} errors do not say what the agent said"
    )
    return outcome


async def refusals(ground: Ground) -> Outcome:
    """Ask an agent that refuses: a long prompt, filtered content and an empty account have their own errors."""
    kinds = {
        "long": (400, "Input is too long for requested model.", 400, "context_length_exceeded"),
        "filter": (
            400,
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
            400,
            "content_policy_violation",
        ),
        "credit": (429, "Credit Limit Reached", 402, "no credit left"),
    }
    await ground.script(
        *(
            {"match": f"<{name}>", "status": status, "body": {"message": text}, "times": "always"}
            for name, (status, text, *_) in kinds.items()
        )
    )
    outcome, answers = Outcome(), []
    for name, (*_, status, said) in kinds.items():
        for path, stream in itertools.product(PATHS, (False, True)):
            answer = await ground.ask(path, chat(f"<{name}>", path=path, stream=stream))
            answers.append(answer)
            known = answer.status == status and (said in answer.text or path == PATHS[1])
            outcome.expect(known, f"{path}, {name}: {answer.said}")
    outcome.said = outcome_of(answers, ()).said
    return outcome


async def hanging(ground: Ground) -> Outcome:
    """Ask agents that never respond, stop within a response or write a word a second; the clients leave."""
    always = {"times": "always"}
    await ground.script(
        {"match": "<hang>", "fault": "hang_headers", **always},
        {"match": "<stall>", "fault": "stall", "text": "um dois três", **always},
        {"match": "<trickle>", "text": "um " * 1000, "cadence": 1, **always},
    )
    kinds = ("<hang>", "<stall>", "<trickle>")
    seconds = ground.size(8, 3)

    def ask(number: int) -> Any:
        path = PATHS[number % 3]
        body = chat(kinds[number // 3 % 3], path=path, stream=number % 2 == 0)
        return ground.ask(path, body, leave_after=seconds)

    outcome = outcome_of(await ground.together(ground.size(90, 36), ask), (0, 200, *UPSTREAM))
    await expect_no_stream(ground, outcome)
    return outcome


async def held_places(ground: Ground) -> Outcome:
    """Hold as many places at the agent as can be had, by calls that an agent does not answer."""
    await ground.script({"match": "<held>", "fault": "hang_headers", "times": "always"})

    def ask(number: int) -> Any:
        path = PATHS[number % 3]
        return ground.ask(path, chat("<held>", path=path), leave_after=ground.size(10, 4))

    outcome = outcome_of(await ground.together(60, ask), (0, 200, 429, *UPSTREAM))
    await expect_no_stream(ground, outcome)
    return outcome


async def tokens_slow(ground: Ground) -> Outcome:
    """Renew tokens at a server that is slow, then refuses, while the old token is still valid."""
    await ground.script(
        {"at": "token", "delay_headers": 2},
        {"at": "token", "status": 503, "body": "down"},
        {"at": "token", "delay_headers": 4},
        token_lifetime=60,
    )
    await ground.control("POST", "/control/revoke")  # the next token has the short lifetime
    await asyncio.sleep(100)
    state = await ground.control("GET", "/control/state")
    outcome = Outcome(f"{state['token_requests']} token requests")
    outcome.expect(state["token_requests"] >= 3, "the token was not renewed")
    return outcome


async def labels(ground: Ground) -> Outcome:
    """Send messages and results that imitate the lines by which the agent tells turns apart."""
    honest = await _prompt_of(ground, "honest", "Oi")
    marks = _lines(honest)
    assert marks
    forged = [separator.join(["Oi", mark, "x"]) for mark in sorted(marks) for separator in _BREAKS]
    outcome = Outcome(f"{len(forged)} imitations of {len(marks)} lines")
    for number, text in enumerate(forged[:: ground.size(1, 7)]):
        found = _lines(await _prompt_of(ground, f"forged {number}", text))
        extra = {line: count - marks.get(line, 0) for line, count in found.items() if line in marks}
        outcome.expect(
            not any(count > 0 for count in extra.values()), f"{text!r} stands in the prompt as a line of its own"
        )
    return outcome


_BREAKS = ("\n", "\r", "\r\n", "\u2028", "\u2029", "\u0085", "\v", "\f")


async def _prompt_of(ground: Ground, name: str, text: str) -> str:
    """Return the prompt in which a user, an assistant and a tool said this text."""
    await ground.script({"match": f"<{name}>", "text": "Oi", "times": "always"})
    call = {"id": "call_1", "type": "function", "function": {"name": "work", "arguments": "{}"}}
    body = chat(f"<{name}>", tools=[TOOL])
    body["messages"] = [
        {"role": "system", "content": "Seja breve."},
        {"role": "user", "content": f"<{name}>"},
        {"role": "assistant", "content": text, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": text},
        {"role": "user", "content": text},
    ]
    answer = await ground.ask(PATHS[0], body)
    assert answer.status == 200, answer.said
    return str((await ground.prompts(f"<{name}>"))[-1]["prompt"])


def _lines(prompt: str) -> dict[str, int]:
    """Count the lines of a prompt that begin with a mark, as labels and headings do."""
    lines = re.split(r"[\n\r\u2028\u2029\u0085\v\f]+", prompt)
    counted: dict[str, int] = {}
    for line in lines:
        if re.match(r"[^\w\s\"{<>.,-]", line):
            counted[line] = counted.get(line, 0) + 1
    return counted


async def leaving(ground: Ground) -> Outcome:
    """Open streams by the hundred, and leave each within a second."""
    await ground.script({"match": "<leave>", "text": "um " * 500, "cadence": 0.05, "times": "always"})
    count = ground.size(400, 100)

    def ask(number: int) -> Any:
        path = PATHS[number % 3]
        return ground.ask(path, chat("<leave>", path=path, stream=number % 4 != 0), leave_after=0.3 + number % 7 / 10)

    outcome = outcome_of(await ground.together(count, ask), (0, 200, *UPSTREAM, 429))
    await expect_no_stream(ground, outcome)
    return outcome


async def expect_no_stream(ground: Ground, outcome: Outcome) -> None:
    """Expect that no answer of the agent stays open; the other team's streams come and go."""
    left = 0

    async def settled() -> bool:
        nonlocal left
        left = (await ground.control("GET", "/control/state"))["open_streams"]
        return left <= 2

    await ground.until(settled, 30)
    outcome.expect(left <= 2, f"{left} answers of the agent are still open, although their clients have left")


async def _all_ways(
    ground: Ground,
    text: str,
    allowed: Any,
    *,
    rounds: int = 1,
    paths: tuple[str, ...] = PATHS,
    **fields: Any,
) -> Outcome:
    """Ask on each protocol, whole and streamed, at the same time."""
    ways = [(path, stream) for path in paths for stream in (False, True)] * rounds

    def ask(number: int) -> Any:
        path, stream = ways[number]
        own = fields if path == PATHS[0] else {}
        return ground.ask(path, chat(text, path=path, stream=stream, model=servers.STACKSPOT, **own))

    return outcome_of(await ground.together(len(ways), ask), allowed)
