"""Server-sent events: lines, characters and events, however the bytes are cut."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from custom_handler.stackspot.sse import FIELD_NAME_BYTES, SseDecoder
from tests.support.growth import is_linear


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
    return tuple(data for piece in pieces for _, data in decoder.feed(piece)) + tuple(
        data for _, data in decoder.flush()
    )


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


NAMED = [
    (b"event: error\ndata: a\n\n", ("error", "a")),
    (b"data: a\nevent: error\n\n", ("error", "a")),
    (b"event: error\n\n", ("error", "")),
    (b"event: message\ndata: a\n\n", ("", "a")),
    (b"event: message\n\ndata: a\n\n", ("", "a")),
    (b"event\ndata: a\n\n", ("", "a")),
]


@pytest.mark.parametrize(("raw", "event"), NAMED)
def test_an_event_has_its_name_however_it_is_cut(raw, event):
    for size in (1, 5, len(raw)):
        decoder = SseDecoder()
        pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        assert [one for piece in pieces for one in decoder.feed(piece)] + decoder.flush() == [event]


def test_a_name_is_that_of_one_event_only():
    assert SseDecoder().feed(b"event: error\ndata: a\n\ndata: b\n\n") == [("error", "a"), ("", "b")]


def test_an_event_is_returned_with_its_blank_line():
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\n") == [("", "a")]
    assert decoder.flush() == []


LIMIT = 20
LIMITED = [
    Stream("as much as the limit", b"data: " + b"a" * 20 + b"\n\ndata: b\n\n", ("a" * 20, "b")),
    Stream("one byte more", b"data: a\n\ndata: " + b"b" * 21 + b"\n\ndata: c\n\n", ("a",)),
    Stream("bytes, not characters", b"data: a\n\ndata: " + "é".encode() * 11 + b"\n\n", ("a",)),
    Stream("several lines", b"data: a\n\n" + b"data: bbbb\n" * 5 + b"\ndata: c\n\n", ("a",)),
    Stream("many events, none too large", b"data: aaaa\n\n" * 50, ("aaaa",) * 50),
    Stream("many comments", b": ping ping ping\n" * 50 + b"data: a\n\n", ("a",)),
    Stream("no end", b"data: a\n\ndata: " + b"b" * 21, ("a",)),
    Stream("as much as the limit, no end", b"data: a\n\ndata: " + b"b" * 20, ("a", "b" * 20)),
]


@pytest.mark.parametrize("stream", LIMITED, ids=lambda stream: stream.id)
def test_an_event_beyond_the_limit_ends_the_stream_however_it_is_cut(stream):
    for size in (1, 3, 7, 10, 33, 10_000):
        decoder = SseDecoder(LIMIT)
        pieces = [stream.raw[at : at + size] for at in range(0, len(stream.raw), size)]
        found = [event for piece in pieces for event in decoder.feed(piece)] + decoder.flush()
        assert tuple(data for _, data in found) == stream.data, size
        assert decoder.too_large == (b"b" * 21 in stream.raw or stream.id in {"bytes, not characters", "several lines"})


@pytest.mark.parametrize("line", [b"data: ", b": ", b"event: ", b"other: "])
def test_a_line_without_end_is_not_kept(line):
    decoder = SseDecoder(1000)
    decoder.feed(line)
    for _ in range(100):
        assert decoder.feed(b"a" * 100) == []
        assert sum(map(len, decoder._lines.buffer)) <= 1000 + FIELD_NAME_BYTES
    assert decoder.too_large
    assert decoder.feed(b"\n\ndata: b\n\n") == decoder.flush() == []


def test_the_size_of_a_long_line_is_counted_in_linear_time():
    def decode(size: int) -> None:
        decoder = SseDecoder(size)
        for _ in range(size // 10):
            decoder.feed(b"a" * 10)
        assert not decoder.too_large

    assert is_linear(decode, 1_000_000)


def test_a_long_line_in_many_pieces_is_decoded_quickly():
    decoder = SseDecoder()
    pieces = [b"data: ", *[b"a" * 1000] * 9000, b"\n\n"]
    assert [len(data) for piece in pieces for _, data in decoder.feed(piece)] == [9_000_000]
