"""Addresses that clients name: which are fetched, and that nothing leads into a private network."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from custom_handler.errors import RequestError
from custom_handler.stackspot.agent_call import Emit, FetchPublicFile, Steps
from custom_handler.stackspot.client import StackspotClient
from custom_handler.stackspot.http.public_fetch import PublicFileFetcher, is_public, resolve
from tests.support.drivers import arun, run

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2001:db8::1",
    "3fff::1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_of_a_private_network_is_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "localhost"])
def test_every_notation_of_loopback_resolves_to_it(host):
    assert not any(map(is_public, resolve(host)))


class Pages(http.server.BaseHTTPRequestHandler):
    """What a public host might answer."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.headers["Host"], self.path))
        if self.path == "/redirect":
            self._begin(302, Location="https://169.254.169.254/latest/meta-data")
        elif self.path == "/missing":
            self._begin(404)
        elif self.path == "/endless":
            self._begin(200)
            self._drip(b"a" * 1000)
        elif self.path == "/slow":
            self._begin(200)
            self._drip(b"a", pause=0.05)
        elif self.path == "/slow-head":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self._drip(b"a", pause=0.05)
        else:
            self._begin(200)
            self.wfile.write(b"\x89PNG\r\n\x1a\n")

    def _begin(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _drip(self, data: bytes, pause: float = 0.0) -> None:
        try:
            for _ in range(200):
                self.wfile.write(data)
                time.sleep(pause)
        except OSError:
            pass

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of images.example that is its own authority, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "images.example")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("images.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *private) + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture(scope="module")
def port(certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


class Names:
    """Resolves every name to these addresses, one after the other, and counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def fetcher(trusting: ssl.SSLContext, port: int) -> PublicFileFetcher:
    """An internet whose only host is on this machine."""
    Pages.asked.clear()
    return PublicFileFetcher(trusting, Names(["127.0.0.1"]), lambda address: address == "127.0.0.1", port)


def fetch(fetcher: PublicFileFetcher, url: str, most: int = 10_000, timeout: float = 5.0) -> bytes:
    return fetcher.request(FetchPublicFile(url, "messages[0].content[1]", most, timeout)).result(20)


def test_a_file_is_fetched_by_name_from_the_checked_address(fetcher: PublicFileFetcher, trusting: Any, port: int):
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    once = PublicFileFetcher(trusting, names, lambda address: address == "127.0.0.1", port)
    assert fetch(once, "https://images.example/a.png?size=1") == b"\x89PNG\r\n\x1a\n"
    assert names.asked == ["images.example"]
    assert Pages.asked == [("images.example", "/a.png?size=1")]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://images.example/redirect", "answers HTTP 302, and redirects are not followed"),
        ("https://images.example/missing", "answers HTTP 404"),
        ("https://images.example/endless", "more than 10000 bytes"),
        ("https://other.example/a.png", r"cannot be fetched \(ConnectError\)"),
        ("https://images.example:8443/a.png", "without port and password"),
        ("https://me:secret@images.example/a.png", "without port and password"),
        ("https://", "without port and password"),
        ("https://[::1/a", "not a valid address"),
    ],
)
def test_an_error_names_the_reason_and_the_part(fetcher: PublicFileFetcher, url: str, says: str):
    with pytest.raises(RequestError, match=says) as raised:
        fetch(fetcher, url)
    assert raised.value.param == "messages[0].content[1]"
    assert "secret" not in raised.value.message


def test_no_url_is_logged(fetcher: PublicFileFetcher, caplog: pytest.LogCaptureFixture):
    with caplog.at_level("INFO"):
        fetch(fetcher, "https://images.example/a.png?signature=secret")
    assert "secret" not in caplog.text


@pytest.mark.parametrize("path", ["slow", "slow-head"])
def test_a_slow_host_times_out(fetcher: PublicFileFetcher, path: str):
    with pytest.raises(RequestError, match=r"takes longer than 0\.3 s"):
        fetch(fetcher, f"https://images.example/{path}", timeout=0.3)


@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:127.0.0.1"], []],
    ids=str,
)
def test_a_name_with_a_private_address_is_not_connected_to(
    trusting: Any, addresses: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(httpx, "AsyncHTTPTransport", lambda *_, **__: pytest.fail("it connected"))
    with pytest.raises(RequestError, match="no address in the public internet"):
        fetch(PublicFileFetcher(trusting, Names(addresses)), "https://images.example/a.png")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "169.254.169.254", "2130706433", "localhost", "nowhere.invalid"]
)
def test_a_private_address_is_not_connected_to(trusting: Any, host: str, monkeypatch: pytest.MonkeyPatch):
    def known(name: str) -> Sequence[str]:
        ipaddress.ip_address(name) if ":" in name else None
        if name.endswith(".invalid"):
            raise OSError
        return resolve(name)

    monkeypatch.setattr(httpx, "AsyncHTTPTransport", lambda *_, **__: pytest.fail("it connected"))
    with pytest.raises(RequestError, match="no address in the public internet"):
        fetch(PublicFileFetcher(trusting, known), f"https://{host}/latest/meta-data")


def fetching(url: str, timeout: float = 5.0) -> Steps[Any]:
    try:
        found = yield FetchPublicFile(url, "messages[0].content[1]", 10_000, timeout)
    except RequestError as error:
        found = error.message
    yield Emit([found])


@pytest.mark.parametrize("perform", [run, arun], ids=["blocking", "awaiting"])
def test_a_step_fetches_or_fails_in_both_ways_to_run(perform: Any, settings: Any, fetcher: PublicFileFetcher):
    transport = StackspotClient(settings, fetcher=fetcher)
    assert perform(transport, fetching("https://images.example/a.png")) == [b"\x89PNG\r\n\x1a\n"]
    (refused,) = perform(transport, fetching("https://images.example/redirect"))
    assert "redirects are not followed" in refused
    (late,) = perform(transport, fetching("https://images.example/slow", timeout=0.2))
    assert "takes longer than 0.2 s" in late


@pytest.mark.parametrize("perform", [run, arun], ids=["blocking", "awaiting"])
def test_a_name_that_is_not_resolved_in_time_fails(perform: Any, settings: Any, trusting: Any):
    answered = threading.Event()

    def slow(_: str) -> Sequence[str]:
        answered.wait(10)
        return []

    (late,) = perform(
        StackspotClient(settings, fetcher=PublicFileFetcher(trusting, slow)),
        fetching("https://images.example/a.png", timeout=0.2),
    )
    answered.set()
    assert "takes longer than 0.2 s" in late


def test_no_proxy_of_the_environment_is_used(fetcher: PublicFileFetcher, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert fetch(fetcher, "https://images.example/a.png")
