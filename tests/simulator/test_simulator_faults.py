"""Each fault, seen from the client."""

import asyncio
import json
import socket
import time

import aiohttp.web
import httpx
import pytest

AGENT = "01K00000000000000000000000"
WORDS = "one two three four"


async def read_socket(service, **fields):
    """Send a chat over a bare socket; everything received, and how it ended."""
    request = service.build(**fields)
    head = f"POST {request.url.raw_path.decode()} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", service.simulator.port)
    writer.write(head.encode() + b"\r\n" + request.content)
    received = b""
    try:
        while chunk := await reader.read(65536):
            received += chunk
    except ConnectionResetError:
        return received, "reset"
    else:
        return received, "closed"
    finally:
        writer.close()


async def read_until_error(service, request):
    """What a stream brings before it breaks off, and the error."""
    answer = await service.client.send(request, stream=True)
    received = b""
    try:
        async for chunk in answer.aiter_raw():
            received += chunk
    except httpx.TransportError as error:
        return received, error
    raise AssertionError("the stream ended well")


async def settled(service, **expected):
    """The newest record, when it has come to what is expected of it."""
    for _ in range(6000):
        record = (await service.requests(at="chat"))[-1]
        if all(record[name] == value for name, value in expected.items()):
            return record
        await asyncio.sleep(0.01)
    raise AssertionError(record)


async def test_reset_before_any_answer(service):
    await service.script({"fault": "reset_before"})
    assert await read_socket(service) == (b"", "reset")
    assert (await service.state())["connections_reset"] == 1


async def test_close_before_any_answer(service):
    await service.script({"fault": "close_before", "delay_first": 0.05})
    started = time.perf_counter()
    assert await read_socket(service) == (b"", "closed")
    assert time.perf_counter() - started > 0.04


@pytest.mark.parametrize("after", [0, 2, 99])
async def test_reset_within_the_stream(service, after):
    await service.script({"text": WORDS, "fault": "reset_within", "after": after})
    received, end = await read_socket(service)
    assert end == "reset"
    assert received.count(b"data: ") == 1 + min(after, 4)
    record = await settled(service, broken="reset")
    assert (record["finished"], record["disconnected"]) == (False, False)


async def test_close_within_the_stream_leaves_out_the_last_chunk(service):
    await service.script({"text": WORDS, "fault": "close_within", "after": 2})
    received, end = await read_socket(service)
    assert (end, received.count(b"data: ")) == ("closed", 3)
    assert not received.endswith(b"0\r\n\r\n")
    await service.script({"text": WORDS, "fault": "close_within"})
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        await service.ask()


async def test_headers_can_hang(service):
    await service.script({"fault": "hang_headers"})
    with pytest.raises(httpx.ReadTimeout):
        await service.client.send(_impatient(service))
    await settled(service, disconnected=True, status=None)


async def test_a_stall_sends_its_pieces_and_then_nothing(service):
    await service.script({"text": WORDS, "fault": "stall", "after": 2})
    received, error = await read_until_error(service, _impatient(service))
    assert received.count(b"data: ") == 3
    assert isinstance(error, httpx.ReadTimeout)


async def test_a_disconnect_during_a_stall_is_recorded_at_once(service):
    await service.script({"text": WORDS, "fault": "stall"})
    answer = await service.client.send(service.build(), stream=True)
    assert (await service.state())["open_streams"] == 1
    await answer.aclose()
    record = await settled(service, disconnected=True)
    assert record["frames_sent"] == 2
    state = await service.state()
    assert (state["open_streams"], state["client_disconnects"]) == (0, 1)


async def test_a_disconnect_during_a_stream_is_recorded(service):
    await service.script({"text": WORDS * 500, "cadence": 0.01})
    answer = await service.client.send(service.build(), stream=True)
    await asyncio.sleep(0.03)
    await answer.aclose()
    record = await settled(service, disconnected=True)
    assert 0 < record["frames_sent"] < 100


async def test_a_client_that_does_not_read_pauses_the_stream(service):
    await service.script({"pieces": ["a" * 100_000] * 500})
    request = service.build()
    connection = socket.create_connection(("127.0.0.1", service.simulator.port))
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    connection.sendall(f"POST {request.url.path} HTTP/1.1\r\n{head}\r\n".encode() + request.content)
    await asyncio.sleep(0.2)
    before = (await service.state())["open_streams"]
    connection.close()
    record = await settled(service, disconnected=True)
    assert (before, record["frames_sent"] < 500) == (1, True)


async def test_a_disconnect_before_a_write_logs_no_error(service, monkeypatch, caplog):
    async def write(*_):
        raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(aiohttp.web.StreamResponse, "write", write)
    await service.script({"text": "a"})
    with pytest.raises(httpx.RemoteProtocolError):
        await service.client.send(service.build())
    await settled(service, disconnected=True)
    assert caplog.records == [record for record in caplog.records if record.levelname != "ERROR"]


async def test_endless_empty_frames(service, frames_of):
    await service.script({"text": "a", "fault": "endless_empty"})
    answer = await service.client.send(service.build(), stream=True)
    chunks = answer.aiter_raw()
    received = [await anext(chunks) for _ in range(5)]
    await answer.aclose()
    assert frames_of(b"".join(received))[2:] == [{"message": ""}] * 3


@pytest.mark.parametrize(("fault", "several"), [("endless_text", True), ("endless_frame", False)])
async def test_a_text_and_a_frame_without_an_end(service, fault, several):
    await service.script({"text": "a", "fault": fault})
    answer = await service.client.send(service.build(), stream=True)
    received = bytearray()
    async for chunk in answer.aiter_raw():
        received += chunk
        if len(received) > 1_000_000:
            break
    await answer.aclose()
    assert (received.count(b"\n\n", 2_000) > 500) == several
    await settled(service, disconnected=True)


async def test_an_error_frame_inside_a_stream_of_status_200(service):
    await service.script({"text": WORDS, "fault": "error_frame", "after": 2})
    answer = await service.ask()
    frames = _frames(answer)
    assert (answer.status_code, len(frames), set(frames[-1])) == (200, 4, {"type", "code", "details"})


async def test_a_scripted_error_frame(service):
    await service.script({"fault": "error_frame", "after": 0, "body": {"error": {"message": "no"}}})
    assert _frames(await service.ask())[1:] == [{"error": {"message": "no"}}]


async def test_a_null_message_costs_tokens(service):
    await service.script({"fault": "null_message", "times": 2})
    frames = await service.ask_for_frames()
    assert [frame["message"] for frame in frames] == [None, None]
    assert (frames[-1]["stop_reason"], frames[-1]["tokens"]["output"]) == ("stop", 5)
    assert (await service.ask(streaming=False)).json()["message"] is None


async def test_a_json_body_instead_of_a_stream(service):
    await service.script({"text": WORDS, "fault": "json_body"})
    answer = await service.ask()
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["message"] == WORDS


async def test_a_page_of_the_gateway(service):
    await service.script({"fault": "html_502"})
    answer = await service.ask()
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert "Bad Gateway" in answer.text


async def test_frames_in_openais_shape(service):
    await service.script({"text": "a b", "fault": "openai_shape"})
    answer = await service.ask()
    choices = [frame["choices"][0] for frame in _frames(answer)[:-1]]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == "a b"
    assert choices[-1]["finish_reason"] == "stop"
    assert answer.content.endswith(b"data: [DONE]\n\n")


async def test_bad_frames_between_good_ones(service, text_of):
    await service.script({"text": WORDS, "fault": "bad_frame", "after": 2})
    frames = await service.ask_for_frames()
    assert frames[3:5] == [b"this is not JSON", [1, "not an object"]]
    assert text_of(frames) == WORDS
    assert frames[-1]["stop_reason"] == "stop"


async def test_a_lone_surrogate(service):
    await service.script({"text": WORDS, "fault": "surrogate"})
    content = (await service.ask()).content
    assert rb'data: {"message":"\ud83d"}' in content
    assert b"stop" in content


async def test_a_line_of_nine_megabytes(service):
    await service.script({"text": WORDS, "fault": "big_line"})
    assert max(len(line) for line in (await service.ask()).content.split(b"\n")) > 9 * 1024 * 1024


async def test_a_stream_that_ends_within_a_character(service):
    await service.script({"text": WORDS, "fault": "truncated_utf8"})
    content = (await service.ask()).content
    assert content.endswith(b'data: {"message":"S\xc3')


async def test_cuts_before_a_break_lose_nothing(service):
    await service.script({"text": WORDS, "fault": "close_within", "after": 1, "cut": 7})
    received, error = await read_until_error(service, service.build())
    assert isinstance(error, httpx.RemoteProtocolError)
    assert received.endswith(b'data: {"message":"one"}\n\n')


def _impatient(service, **fields):
    request = service.build(**fields)
    request.extensions = {"timeout": {"read": 0.25}}
    return request


def _frames(answer):
    return [
        json.loads(line[6:]) if line[6:7] == "{" else line
        for line in answer.text.split("\n")
        if line.startswith("data: ")
    ]
