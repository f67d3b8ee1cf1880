"""Every row of the contract's sections 3 to 5, as bytes of the agent and as what they come to."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from custom_handler.errors import (
    AgentFailed,
    AgentNotFound,
    AgentRejected,
    ContentFiltered,
    CreditExhausted,
    PromptTooLong,
    QuotaExhausted,
    RateLimited,
    StackspotError,
)
from custom_handler.events import AgentEnd, Usage
from custom_handler.stackspot.frames import StreamDecoder
from custom_handler.stackspot.json_body import decode_body as decoded_body

FAT = {
    "message": "",
    "stop_reason": None,
    "tokens": None,
    "upload_ids": {},
    "knowledge_source_id": [],
    "source": [],
    "cross_account_source": [],
    "tools_id": [],
    "agent_info": [],
    "conversation_id": None,
    "message_id": None,
}
COUNTS = {"user": None, "enrichment": None, "input": 42, "output": 5}
LAST = FAT | {"stop_reason": "stop", "tokens": COUNTS, "message_id": "01KV66"}
END = AgentEnd("stop", Usage(42, 5))


def sse(*frames: Any, end: str = "\n", ascii_only: bool = False) -> bytes:
    lines = (frame if isinstance(frame, str) else json.dumps(frame, ensure_ascii=ascii_only) for frame in frames)
    return "".join(f"data: {line}{end}{end}" for line in lines).encode()


def thin(*messages: str | None) -> list[dict[str, Any]]:
    return [{"message": message} for message in messages]


def openai(content: Any, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, **choice}]}


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes of the agent, the text in them, and its end with the last known value of everything."""

    id: str
    raw: bytes
    text: str
    end: AgentEnd = field(default_factory=AgentEnd)


REPLIES = [
    Reply("thin frames and a last one", sse(*thin("", "Olá", ", mundo"), LAST), "Olá, mundo", END),
    Reply("fat frames", sse(FAT, FAT | {"message": "a"}, LAST), "a", END),
    Reply("one character a frame", sse(*thin(*"ação ☀ 😀"), LAST), "ação ☀ 😀", END),
    Reply("increments that repeat are no totals", sse(*thin("ha", "ha", "!"), LAST), "haha!", END),
    Reply("text in the last frame", sse(*thin("a"), LAST | {"message": "b"}), "ab", END),
    Reply("no last frame", sse(*thin("a", "b")), "ab"),
    Reply("no last blank line", sse(*thin("a"), LAST).rstrip(b"\n"), "a", END),
    Reply("a null message", sse(FAT | {"message": None}, LAST | {"message": None}), "", END),
    Reply("[DONE]", sse(*thin("a"), LAST, "[DONE]"), "a", END),
    Reply("[DONE] in the middle", sse(*thin("a"), "[DONE]", *thin("b")), "ab"),
    Reply("CRLF", sse(*thin("a\n", "b"), LAST, end="\r\n"), "a\nb", END),
    Reply("CR", sse(*thin("a\r", "b"), LAST, end="\r"), "a\rb", END),
    Reply("comments and other fields", b": hi\n\nevent: message\nid: 1\n" + sse(*thin("a"), LAST), "a", END),
    Reply("a byte order mark", b"\xef\xbb\xbf" + sse(*thin("a"), LAST), "a", END),
    Reply("line separators in the text", sse(*thin("a\u2028b\u0085c\x1cd")), "a\u2028b\u0085c\x1cd"),
    Reply("a lone surrogate", sse(*thin("a\ud83d", "b"), ascii_only=True), "a\ufffdb"),
    Reply("a pair of surrogates", sse(*thin("a😀"), ascii_only=True), "a😀"),
    Reply("a pair cut in two frames", sse(*thin("a\ud83d", "", "\ude00b"), ascii_only=True), "a😀b"),
    Reply("half a pair before the end", sse(*thin("a\ud83d"), LAST, ascii_only=True), "a\ufffd", END),
    Reply("half a pair in a JSON body", b'{"message": "\\ud83d"}', "\ufffd"),
    Reply("halves in the wrong order", sse(*thin("\ude00\ud83d\ud83d", "b"), ascii_only=True), "\ufffd\ufffd\ufffdb"),
    Reply("half a character at the end", sse(*thin("a")) + b'data: {"message":"S\xc3', "a"),
    Reply("a stray byte", b'data: {"message":"a\xffb"}\n\n', "a\ufffdb"),
    Reply(
        "the older counts",
        sse(LAST | {"tokens": {"user": 3, "enrichment": 4, "output": 5}}),
        "",
        AgentEnd("stop", Usage(7, 5)),
    ),
    Reply("counts as strings", sse({"tokens": {"input": "42", "output": "5"}}), "", AgentEnd(usage=Usage(42, 5))),
    Reply(
        "no input count",
        sse({"tokens": {"user": "3", "enrichment": None, "input": 0, "output": 5}}),
        "",
        AgentEnd(usage=Usage(3, 5)),
    ),
    Reply("only an output count", sse({"tokens": {"output": 5}}), "", AgentEnd(usage=Usage(0, 5))),
    Reply(
        "counts that make no sense", sse({"message": "a", "tokens": {"input": "many", "output": [1], "user": -3}}), "a"
    ),
    Reply("counts beyond all bounds", b'data: {"message":"a","tokens":{"input":1e999,"output":NaN}}\n\n', "a"),
    Reply("counts that are a number", sse({"message": "a", "tokens": 7}), "a"),
    Reply("a conversation", sse(LAST | {"conversation_id": "01KC"}), "", AgentEnd("stop", Usage(42, 5), "01KC")),
    Reply(
        "the last value that is not null counts",
        sse({"conversation_id": "01KA"}, {"conversation_id": "01KB"}, LAST),
        "",
        AgentEnd("stop", Usage(42, 5), "01KB"),
    ),
    Reply("a stop reason of another type", sse({"message": "a", "stop_reason": 7}), "a"),
    Reply("OpenAI's shape", sse(openai("a"), openai("b"), openai(None, finish_reason="stop"), "[DONE]"), "ab"),
    Reply("OpenAI's shape without a delta", sse({"choices": [{"index": 0}]}, {"choices": []}, openai("b")), "b"),
    Reply("a message beside choices", sse(openai("b") | {"message": "a"}), "a"),
    Reply("frames that cannot be read", sse("not JSON", *thin("a"), "[1]", "7", "null", "{", *thin("b")), "ab"),
    Reply("a message of another type", sse({"message": ["a"]}, {"message": 7}, *thin("b")), "b"),
    Reply("named events", b"event: message\n" + sse(*thin("a")) + b"event: end_event\n" + sse(LAST), "a", END),
    Reply("an end event without data", sse(*thin("a"), LAST) + b"event: end_event\n\n", "a", END),
    Reply("no error", sse(FAT | {"message": "a", "error": None, "errors": [], "type": "message", "code": None}), "a"),
    Reply("no error, but its fields", sse({"message": "a", "error": False, "status": 200, "details": {"n": 1}}), "a"),
    Reply("a code beside text", sse({"message": "a", "code": "OK"}), "a"),
    Reply("a frame of the agent's tools", sse({"tools_id": ["x"], "agent_info": [{"name": "error"}]}, *thin("a")), "a"),
    Reply("words about an error", sse(*thin('{"error": "x"}', " event: error")), '{"error": "x"} event: error'),
    Reply("a JSON body", json.dumps(LAST | {"message": "Olá"}).encode(), "Olá", END),
    Reply(
        "a JSON body over many lines", b"\n " + json.dumps(LAST | {"message": "a"}, indent=2).encode() + b"\n", "a", END
    ),
    Reply(
        "a JSON body with a byte order mark", b"\xef\xbb\xbf" + json.dumps(LAST | {"message": "a"}).encode(), "a", END
    ),
    Reply("a JSON body in OpenAI's shape", json.dumps(openai("a")).encode(), "a"),
]


@dataclass(frozen=True, slots=True)
class Failing:
    """Bytes of a 200 answer that report an error, and the text before it."""

    id: str
    raw: bytes
    error: type[StackspotError]
    text: str = ""


ERROR = {"type": "INFERENCE", "code": "INFERENCE_5000_INTERNAL_ERROR", "details": "stopped"}
TOO_LONG = "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 340000 tokens."
DAILY = "Maximum number of requests reached. Your limit is 100 requests in the last 1440 minutes"
FILTER = "Output blocked by content filtering policy"
EVENT = b"event: error\n"
FAILING = [
    Failing("an error frame", sse(*thin("a"), ERROR, *thin("b")), AgentFailed, "a"),
    Failing("an error frame at once", sse(ERROR), AgentFailed),
    Failing("an error frame without a code", sse({"type": "INFERENCE", "details": "stopped"}), AgentFailed),
    Failing("an error object", sse(*thin("a"), {"error": {"message": "stopped"}}), AgentFailed, "a"),
    Failing("an error string", sse({"error": "stopped"}), AgentFailed),
    Failing("an error beside a message", sse({"message": "b", "error": "stopped"}), AgentFailed),
    Failing("an error as a JSON body", json.dumps(ERROR).encode(), AgentFailed),
    Failing("a limit in a frame", sse({"code": "INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED"}), RateLimited),
    Failing("a limit in an error", sse({"error": {"code": "CHAT_RATE_LIMIT_EXCEEDED"}}), RateLimited),
    Failing("credit in an error", sse({"error": {"message": "Credit Limit Reached"}}), CreditExhausted),
    Failing("a prompt too long in a frame", sse({"code": "INFERENCE_6001", "details": TOO_LONG}), PromptTooLong),
    Failing("an error event", EVENT + sse({"message": "stopped"}), AgentFailed),
    Failing("an error event after text", sse(*thin("a")) + EVENT + sse(ERROR), AgentFailed, "a"),
    Failing("an error event of text", EVENT + sse("stopped"), AgentFailed),
    Failing("an error event without data", EVENT + b"\n", AgentFailed),
    Failing("an error event of JSON text", EVENT + sse('"stopped"'), AgentFailed),
    Failing("an error event of another name", b"event: error_event\n" + sse({"message": "b"}), AgentFailed),
    Failing("a type of error", sse({"type": "error", "message": "stopped"}), AgentFailed),
    Failing("a type of error after text", sse(*thin("a"), {"type": "ERROR", "message": "stopped"}), AgentFailed, "a"),
    Failing("an object of error", sse({"object": "error", "message": "stopped", "code": 404}), AgentNotFound),
    Failing("a type of error without more", sse({"type": "error"}), AgentFailed),
    Failing(
        "Anthropic's error", sse({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}), AgentFailed
    ),
    Failing("an error beside an empty message", sse(FAT | {"error": "stopped"}), AgentFailed),
    Failing("an error beside a null message", sse(FAT | {"message": None, "error": {"code": "X_1"}}), AgentFailed),
    Failing(
        "a code beside an empty message", sse({"message": "", "code": "INFERENCE_5000_INTERNAL_ERROR"}), AgentFailed
    ),
    Failing("code and details beside a message", sse(ERROR | {"message": "b"}), AgentFailed),
    Failing("errors", sse({"message": "", "errors": [{"message": "stopped"}]}), AgentFailed),
    Failing("a status", sse({"statusCode": 500, "message": "Internal server error"}), AgentFailed),
    Failing("a status of error", sse({"status": "error", "message": "stopped"}), AgentFailed),
    Failing("a problem", sse({"title": "stopped", "status": 400, "detail": "no"}), AgentRejected),
    Failing("FastAPI's", sse({"detail": "stopped"}), AgentFailed),
    Failing("a status in an error", sse({"error": {"code": 429, "message": "no"}}), RateLimited),
    Failing("a daily limit in a frame", sse({"code": "X_1_RATE_LIMIT_EXCEEDED", "details": DAILY}), QuotaExhausted),
    Failing("a daily limit by its text", sse({"code": "X_1", "details": DAILY}), QuotaExhausted),
    Failing(
        "a limit by its text", sse({"type": "error", "message": "Maximum number of requests reached."}), RateLimited
    ),
    Failing("credit in a message", sse({"type": "error", "message": "Credit Limit Reached"}), CreditExhausted),
    Failing("a filter in a frame", sse({"type": "error", "message": FILTER}), ContentFiltered),
    Failing(
        "a filter in an error after text", sse(*thin("a"), {"error": {"code": "content_filter"}}), ContentFiltered, "a"
    ),
    Failing("a message as a JSON body", json.dumps({"type": "error", "message": "stopped"}).encode(), AgentFailed),
    Failing("an error in a JSON body", json.dumps(FAT | {"error": {"message": "stopped"}}).encode(), AgentFailed),
    Failing("a JSON body that is no answer", b'{"id": 1}', AgentFailed),
    Failing("frames that are no answer", sse({"id": 1}, {}), AgentFailed),
    Failing("a page", b"<html><body>502 Bad Gateway</body></html>", AgentFailed),
    Failing("nothing", b"", AgentFailed),
    Failing("blanks", b"\r\n\n ", AgentFailed),
    Failing("only comments", b": ping\n\n: ping\n\n", AgentFailed),
    Failing("only [DONE]", sse("[DONE]"), AgentFailed),
    Failing("only frames that cannot be read", sse("a", "[]"), AgentFailed),
    Failing("a JSON body that is cut off", b'{"message": "a', AgentFailed),
]
# One byte at a time, and cut at random but the same places: 0 is the whole.
CUTS = range(30)


def pieces_of(raw: bytes, seed: int) -> list[bytes]:
    if seed == 0:
        return [raw]
    if seed == 1:
        return [bytes([byte]) for byte in raw]
    random = Random(seed)
    places = sorted(random.randrange(len(raw) + 1) for _ in range(random.randrange(1, 8)))
    return [raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True)]


def read(raw: bytes, seed: int, max_frame_bytes: int | None = None) -> tuple[str, AgentEnd, StackspotError | None]:
    """The text, the end and the error that the bytes come to."""
    decoder, text = StreamDecoder(max_frame_bytes=max_frame_bytes), ""
    try:
        for piece in pieces_of(raw, seed):
            text += decoder.feed(piece)
        text += decoder.flush()
    except StackspotError as error:
        return text, decoder.end, error
    return text, decoder.end, None


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.id)
def test_a_reply_is_read_the_same_however_it_is_cut(reply):
    for seed in CUTS:
        assert read(reply.raw, seed) == (reply.text, reply.end, None), f"cut {seed}"


@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.id)
def test_an_error_within_an_answer_is_raised_however_it_is_cut(case):
    for seed in CUTS:
        text, _, error = read(case.raw, seed)
        assert type(error) is case.error, f"cut {seed}"
        assert text == case.text, f"cut {seed}"


TOO_LARGE = [
    ("a frame", sse(*thin("a", "b" * 300, "c")), "a"),
    ("a frame without an end", sse(*thin("a"))[:-2] + b'\n\ndata: {"message": "' + b"b" * 300, "a"),
    ("a JSON body", json.dumps({"message": "b" * 300}).encode(), ""),
    ("a JSON body without an end", b'{"message": "' + b"b" * 300, ""),
]


@pytest.mark.parametrize(("raw", "text"), [case[1:] for case in TOO_LARGE], ids=[case[0] for case in TOO_LARGE])
def test_a_frame_beyond_the_limit_is_an_error_however_it_is_cut(raw, text):
    for seed in CUTS:
        got, _, error = read(raw, seed, max_frame_bytes=200)
        assert got == text, f"cut {seed}"
        assert isinstance(error, AgentFailed)
        assert error.status_code == 502
        assert "more than 200 bytes" in error.message


def test_nothing_is_read_after_a_frame_beyond_the_limit():
    for start in (b"data: ", b"{"):
        decoder = StreamDecoder(max_frame_bytes=200)
        for _ in range(2):
            with pytest.raises(AgentFailed, match="more than 200 bytes"):
                decoder.feed(start + b"b" * 300)


DEEP = [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000]


@pytest.mark.parametrize("deep", DEEP, ids=["open", "closed", "objects"])
@pytest.mark.parametrize("start", [b"data: ", b'data: {"message": "b", "source": ', b""], ids=["all", "field", "body"])
def test_a_frame_that_is_nested_too_deep_is_an_error(start, deep):
    raw = start + deep + (b"}" if start.endswith(b" ") else b"") + b"\n\n"
    for before, text in ((sse(*thin("a")), "a"), (b"", "")) if start else ((b"", ""),):
        got, _, error = read(before + raw, 0)
        assert got == text
        assert isinstance(error, AgentFailed)
        assert "nested too deep" in error.message or "no frame that can be read" in error.message


def test_a_body_of_an_error_that_is_nested_too_deep_is_text():
    assert decoded_body(DEEP[0]) == DEEP[0].decode()


def test_text_is_returned_with_its_frame():
    decoder = StreamDecoder()
    assert decoder.feed(sse(*thin("a", "b"))) == "ab"
    assert decoder.feed(sse(*thin("c"))[:-1]) == ""
    assert decoder.feed(b"\n") == "c"


def test_text_that_arrived_with_an_error_comes_before_it():
    decoder = StreamDecoder()
    assert decoder.feed(sse(*thin("a"), {"error": "no"}, *thin("b"))) == "a"
    for raising in (decoder.check, decoder.flush, lambda: decoder.feed(b"")):
        with pytest.raises(AgentFailed):
            raising()


def test_an_end_that_arrived_with_an_error_comes_before_it():
    decoder = StreamDecoder()
    assert decoder.feed(sse({"conversation_id": "01KA"}, {"error": "no"})) == ""
    assert decoder.end == AgentEnd(conversation_id="01KA")
    with pytest.raises(AgentFailed):
        decoder.check()


def test_unreadable_frames_log_one_warning(caplog):
    with caplog.at_level(logging.DEBUG):
        read(sse("canary", "[1]", *thin("a"), "7"), 0)
    (record,) = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "custom_handler.stackspot.frames")
    assert record.getMessage() == "Skipped a frame of 6 characters that is not a JSON object"
