"""Server-sent events: lines, characters and events, however the bytes are cut."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from custom_handler.stackspot.sse import SseDecoder


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes on the wire, and the data of their events."""

    id: str
    raw: bytes
    data: tuple[str, ...]


STREAMS = [
    Stream("two events", b"data: a\n\ndata: b\n\n", ("a", "b")),
    Stream("no blank behind the colon", b"data:a\n\n", ("a",)),
    Stream("only the first blank is not data", b"data:  a \n\n", (" a ",)),
    Stream("CR", b"data: a\r\rdata: b\r\r", ("a", "b")),
    Stream("CRLF", b"data: a\r\n\r\ndata: b\r\n\r\n", ("a", "b")),
    Stream("all line ends mixed", b"data: a\r\n\rdata: b\n\r\ndata: c\r\r\n", ("a", "b", "c")),
    Stream("several lines of data", b"data: a\ndata: b\n\n", ("a\nb",)),
    Stream("no last line end", b"data: a\n\ndata: b", ("a", "b")),
    Stream("no last blank line", b"data: a\n\ndata: b\n", ("a", "b")),
    Stream("a last CR alone", b"data: a\n\ndata: b\r", ("a", "b")),
    Stream("comments", b": ping\n\n:\ndata: a\n: in between\n\n: end", ("a",)),
    Stream("other fields", b"event: message\nid: 7\nretry: 10\ndata: a\nother: b\n\nid: 8\n\n", ("a",)),
    Stream("a field without a value", b"data\n\ndata: a\n\n", ("a",)),
    Stream("blank lines", b"\n\n\r\n\rdata: a\n\n\n\n", ("a",)),
    Stream("a byte order mark", b"\xef\xbb\xbfdata: a\n\n", ("a",)),
    Stream("characters of many bytes", "data: ação ☀ 😀\n\n".encode(), ("ação ☀ 😀",)),
    Stream(
        "what other software takes for line ends",
        "data: a\u2028b\u2029c\u0085d\x1ce\x1df\x1eg\x0bh\x0ci\n\n".encode(),
        ("a\u2028b\u2029c\u0085d\x1ce\x1df\x1eg\x0bh\x0ci",),
    ),
    Stream("bytes that are no character", b"data: a\xffb\n\ndata: c\xc3\n\n", ("a\ufffdb", "c\ufffd")),
    Stream("a character that is cut off", b"data: a\n\ndata: b\xf0\x9f\x98", ("a", "b\ufffd")),
    Stream("nothing", b"", ()),
    Stream("no event at all", b"<html>\n<body>502</body>\n</html>\n", ()),
]


def decode(pieces: list[bytes]) -> tuple[str, ...]:
    decoder = SseDecoder()
    return tuple(data for piece in pieces for data in decoder.feed(piece)) + tuple(decoder.flush())


def cut_somewhere(raw: bytes, seed: int) -> list[bytes]:
    random = Random(seed)
    places = sorted(random.randrange(len(raw) + 1) for _ in range(random.randrange(1, 6)))
    return [raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True)]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.id)
def test_a_stream_is_decoded_whole(stream):
    assert decode([stream.raw]) == stream.data


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.id)
def test_a_stream_is_decoded_byte_by_byte(stream):
    assert decode([bytes([byte]) for byte in stream.raw]) == stream.data


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.id)
def test_a_stream_is_decoded_wherever_it_is_cut(stream):
    assert {decode(cut_somewhere(stream.raw, seed)) for seed in range(50)} == {stream.data}


def test_an_event_is_returned_with_its_blank_line():
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\n") == ["a"]
    assert decoder.flush() == []


def test_a_long_line_in_many_pieces_is_decoded_quickly():
    decoder = SseDecoder()
    pieces = [b"data: ", *[b"a" * 1000] * 9000, b"\n\n"]
    assert [len(data) for piece in pieces for data in decoder.feed(piece)] == [9_000_000]
