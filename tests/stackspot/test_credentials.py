"""Credentials in a running process: waves of calls, rotation, loops that come and go, fork, and corporate networks."""

from __future__ import annotations

import asyncio
import datetime
import os
import select
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import litellm
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from custom_handler import StackspotLLM
from custom_handler.errors import ConfigurationError, IdentityUnavailable
from custom_handler.settings import Settings, all_fields
from custom_handler.stackspot.client import StackspotClient

AT_ONCE = 500
HOST = "idm.stackspot.test"


async def wave(provider: Any, hello: Any) -> Counter[str]:
    """Ask many times at once."""
    answers = await asyncio.gather(*(provider.acompletion("stackspot-chat", hello) for _ in range(AT_ONCE)))
    return Counter(answer.choices[0].finish_reason for answer in answers)


@pytest.mark.slow
async def test_500_calls_at_once_make_one_token_request_each_time(settings, simulator, hello, monkeypatch):
    simulator.script({"text": "sim", "times": "always"})
    provider = StackspotLLM(settings.changed(limits={"max_concurrency": 4, "max_waiting": AT_ONCE}))
    told: list[tuple[str, int]] = []
    before = 0
    for moment, happen in {
        "at the start": lambda: None,
        "at the end of the token's life": lambda: monkeypatch.setattr(
            provider.accounts["default"].client.tokens, "_expires_at", 0.0
        ),
        "after a revocation": simulator.revoke,
    }.items():
        happen()
        assert await wave(provider, hello) == {"stop": AT_ONCE}
        told += [(moment, simulator.state()["token_requests"] - before)]
        before += told[-1][1]
    print(f"\n{AT_ONCE} concurrent calls, token requests: {dict(told)}")
    assert [requests for _, requests in told] == [1, 1, 1]


def test_a_renewal_in_time_makes_no_call_wait(settings, simulator, hello, eventually):
    simulator.configure(token_lifetime=2)
    simulator.script({"at": "token"}, {"at": "token", "delay_headers": 0.4})
    provider = StackspotLLM(settings)
    provider.completion("stackspot-chat", hello)
    eventually(
        lambda: (
            provider.accounts["default"].client.tokens._clock() > provider.accounts["default"].client.tokens._renew_at
        )
    )
    for _ in range(3):
        provider.completion("stackspot-chat", hello)
    answered = [record["ended"] for record in simulator.requests("chat")]
    token_calls = eventually(lambda: [record for record in simulator.requests("token") if record["ended"]][1:])
    assert (len(answered), simulator.state()["unauthorized"]) == (4, 0)
    assert max(answered) < token_calls[0]["ended"]


@pytest.fixture
def rotating(settings, monkeypatch, tmp_path):
    """A process whose settings come from the environment, with a folder of its own."""
    for item in all_fields():
        for known in (item.metadata["name"], f"STACKSPOT_{item.metadata['name']}"):
            monkeypatch.delenv(known, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKSPOT_IDM_URL", settings.account.idm_url)
    monkeypatch.setenv("STACKSPOT_INFERENCE_URL", settings.account.inference_url)
    monkeypatch.setenv("CLIENT_ID", settings.account.client_id)
    monkeypatch.setenv("REALM", settings.account.realm)
    monkeypatch.setenv("GENAI_AGENT_ID", settings.account.agent_id)
    return tmp_path


@pytest.mark.parametrize("place", [".env", "secret file"])
def test_a_new_client_key_is_found_without_a_restart(rotating, place, monkeypatch, simulator, hello):
    file = rotating / ("secret" if place == "secret file" else ".env")
    line = "{}\n" if place == "secret file" else "CLIENT_SECRET={}\n"
    file.write_text(line.format("simulator-secret"))
    if place == "secret file":
        monkeypatch.setenv("CLIENT_SECRET_FILE", str(file))
    else:
        monkeypatch.setenv("CLIENT_SECRET", "simulator-secret")  # as the proxy does with what it finds in .env
    provider = StackspotLLM()
    provider.completion("stackspot-chat", hello)
    file.write_text(line.format("a-new-key"))
    simulator.configure(client_secret="a-new-key")
    simulator.revoke()
    assert provider.completion("stackspot-chat", hello).choices[0].finish_reason == "stop"
    assert simulator.state()["token_requests"] == 3  # the first, the refused, and the new one


def test_settings_of_a_program_are_not_mixed_with_a_file(rotating, settings, simulator):
    (rotating / ".env").write_text("CLIENT_SECRET=simulator-secret\n")
    with pytest.raises(Exception, match="refuses CLIENT_ID and CLIENT_SECRET"):
        StackspotLLM(settings.changed(account={"client_secret": "wrong"})).authenticate()


def test_one_token_serves_several_loops_and_threads(provider, simulator, hello):
    for _ in range(2):
        asyncio.run(provider.acompletion("stackspot-chat", hello))
    with ThreadPoolExecutor(8) as pool:
        for answer in [pool.submit(provider.completion, "stackspot-chat", hello) for _ in range(8)]:
            answer.result(10)
    assert simulator.state()["token_requests"] == 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_leaves_the_parents_connections_alone(provider, simulator, hello):
    provider.completion("stackspot-chat", hello)
    child = os.fork()
    if child == 0:
        try:
            answer = provider.completion("stackspot-chat", hello)
            os._exit(0 if answer.choices[0].finish_reason == "stop" else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert provider.completion("stackspot-chat", hello).choices[0].finish_reason == "stop"
    assert simulator.state()["token_requests"] == 2


@dataclass(frozen=True)
class Authority:
    """A certificate authority of nobody's, and a server's context with a certificate of it."""

    file: Path
    server: ssl.SSLContext


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of nobody's")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(secret + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return Authority(folder / "ca.pem", context)


class Front:
    """Speaks TLS in front of the simulator; as a corporate proxy it is first asked to CONNECT, and notes to where."""

    def __init__(self, target: int, tls: ssl.SSLContext, *, tunnel: bool) -> None:
        self.connected: list[str] = []
        self._target, self._tls, self._tunnel = target, tls, tunnel
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._threads += [threading.Thread(target=self._forward, args=(client,), daemon=True)]
            self._threads[-1].start()

    def _forward(self, client: socket.socket) -> None:
        with client:
            if self._tunnel:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += client.recv(1)
                self.connected += [head.split()[1].decode()]
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            try:
                inside = self._tls.wrap_socket(client, server_side=True)
            except (ssl.SSLError, OSError):
                return
            with inside, socket.create_connection(("127.0.0.1", self._target)) as outside:
                _pipe(inside, outside)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(5)


def _pipe(inside: ssl.SSLSocket, outside: socket.socket) -> None:
    while True:
        ready = [inside] if inside.pending() else select.select([inside, outside], [], [], 10)[0]
        for source, sink in ((inside, outside), (outside, inside)):
            if source in ready:
                try:
                    data = source.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                sink.sendall(data)


@pytest.fixture
def behind_tls(simulator, authority) -> Iterator[Front]:
    front = Front(simulator.port, authority.server, tunnel=False)
    yield front
    front.close()


@pytest.fixture
def corporate_proxy(simulator, authority) -> Iterator[Front]:
    front = Front(simulator.port, authority.server, tunnel=True)
    yield front
    front.close()


def ask_both_ways(settings: Settings, hello: Any) -> list[str]:
    """Ask, with the token call of it, blocking and awaiting; connections end with the transport and the loop."""
    provider = StackspotLLM(settings)
    whole = provider.completion("stackspot-chat", hello)
    awaited = asyncio.run(StackspotLLM(settings).acompletion("stackspot-chat", hello))
    del provider
    return [answer.choices[0].finish_reason for answer in (whole, awaited)]


def reached_at(settings: Settings, url: str, **more: Any) -> Settings:
    return settings.changed(account={"idm_url": url, "inference_url": url, **more})


def test_an_authority_of_ca_bundle_is_trusted(settings, authority, behind_tls, hello):
    url = f"https://localhost:{behind_tls.port}"
    with pytest.raises(IdentityUnavailable, match="STACKSPOT_CA_BUNDLE"):
        StackspotClient(reached_at(settings, url)).tokens.request().result(10)
    assert ask_both_ways(reached_at(settings, url, ca_bundle=str(authority.file)), hello) == ["stop", "stop"]


def test_an_unknown_authority_of_the_agent_is_named_as_the_reason(settings, behind_tls, hello):
    there = settings.changed(
        account={"inference_url": f"https://localhost:{behind_tls.port}"}, limits={"max_retries": 0}
    )
    with pytest.raises(litellm.ServiceUnavailableError, match="STACKSPOT_CA_BUNDLE"):
        StackspotLLM(there).completion("stackspot-chat", hello)


def test_ca_bundle_adds_to_the_default_authorities(settings, authority):
    plain, with_ours = (
        StackspotClient(settings.changed(account={"ca_bundle": file}))._tls for file in ("", str(authority.file))
    )
    known = {certificate["serialNumber"] for certificate in plain.get_ca_certs()}
    assert known < {certificate["serialNumber"] for certificate in with_ours.get_ca_certs()}
    assert with_ours.verify_mode is ssl.CERT_REQUIRED
    assert with_ours.check_hostname


def test_ssl_cert_file_is_respected(settings, authority, behind_tls, hello, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert ask_both_ways(reached_at(settings, f"https://localhost:{behind_tls.port}"), hello) == ["stop", "stop"]


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "not PEM"])
def test_an_invalid_ca_bundle_raises_an_error_that_names_it(settings, tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match="STACKSPOT_CA_BUNDLE"):
        StackspotClient(settings.changed(account={"ca_bundle": str(file)}))


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_token_and_agent_calls_use_the_proxy(settings, authority, corporate_proxy, hello, monkeypatch, variable):
    monkeypatch.setenv(variable, f"http://127.0.0.1:{corporate_proxy.port}")
    there = reached_at(settings, f"https://{HOST}", ca_bundle=str(authority.file))
    assert ask_both_ways(there, hello) == ["stop", "stop"]
    assert corporate_proxy.connected == [f"{HOST}:443"] * 4


def test_no_proxy_bypasses_it(settings, authority, corporate_proxy, behind_tls, hello, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{corporate_proxy.port}")
    monkeypatch.setenv("NO_PROXY", "localhost")
    there = reached_at(settings, f"https://localhost:{behind_tls.port}", ca_bundle=str(authority.file))
    assert ask_both_ways(there, hello) == ["stop", "stop"]
    assert corporate_proxy.connected == []
