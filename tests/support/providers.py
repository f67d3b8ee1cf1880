"""Stand-ins for Groq and for Bedrock's ConverseStream: what config.yaml's other models talk to in the tests."""

from __future__ import annotations

import contextlib
import json
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@dataclass
class Providers:
    """One server for both; `text` is the answer, in pieces, and `endless` repeats the last one until the client leaves."""

    url: str = ""
    text: tuple[str, ...] = ("Consistência", " eventual", " é…")
    endless: bool = False
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    left_at: float | None = None

    @property
    def environ(self) -> dict[str, str]:
        keys = {
            "GROQ_API_KEY": "gsk-test",
            "FIREWORKS_AI_API_KEY": "fw-test",
            "AWS_ACCESS_KEY_ID": "AKIATEST",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        return keys | {"GROQ_API_BASE": f"{self.url}/openai/v1", "AWS_BEDROCK_RUNTIME_ENDPOINT": self.url}

    def reset(self) -> None:
        self.text, self.endless, self.left_at = Providers.text, False, None
        self.requests.clear()

    def pieces(self) -> Iterator[str]:
        yield from self.text
        while self.endless:
            time.sleep(0.02)
            yield self.text[-1]


@contextlib.contextmanager
def running_providers() -> Iterator[Providers]:
    providers = Providers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"  # an answer ends with its connection

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            providers.requests.append((unquote(self.path), body))
            answer = bedrock if self.path.startswith("/model/") else groq
            kind, pieces = answer(providers, body)
            self.send_response(200)
            self.send_header("content-type", kind)
            self.end_headers()
            try:
                for piece in pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()
            except OSError:
                providers.left_at = time.monotonic()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    providers.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield providers
    finally:
        server.shutdown()
        server.server_close()


def groq(providers: Providers, body: dict[str, Any]) -> tuple[str, Iterator[bytes]]:
    """A chat completion, whole or in chunks."""
    known = {"id": "c", "created": 1, "model": body["model"], "service_tier": "on_demand"}

    def whole() -> Iterator[bytes]:
        message = {"role": "assistant", "content": "".join(providers.text)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        yield json.dumps(known | {"object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return (
            f"data: {json.dumps(known | {'object': 'chat.completion.chunk', 'choices': [choice]} | more)}\n\n".encode()
        )

    def chunks() -> Iterator[bytes]:
        for text in providers.pieces():
            yield chunk({"role": "assistant", "content": text})
        yield chunk({}, "stop")
        yield chunk({}, choices=[], usage=USAGE)
        yield b"data: [DONE]\n\n"

    return ("text/event-stream", chunks()) if body.get("stream") else ("application/json", whole())


def bedrock(providers: Providers, _: dict[str, Any]) -> tuple[str, Iterator[bytes]]:
    """The events of a ConverseStream, in the framing of AWS."""

    def events() -> Iterator[bytes]:
        yield frame("messageStart", {"role": "assistant"})
        for text in providers.pieces():
            yield frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})
        yield frame("contentBlockStop", {"contentBlockIndex": 0})
        yield frame("messageStop", {"stopReason": "end_turn"})
        usage = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
        yield frame("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})

    return "application/vnd.amazon.eventstream", events()


def frame(kind: str, payload: dict[str, Any]) -> bytes:
    """One message: both lengths and their checksum, headers, payload, and the checksum of all of it."""
    named = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in named.items()
    )
    data = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(data), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + data
    return message + struct.pack("!I", zlib.crc32(message))
