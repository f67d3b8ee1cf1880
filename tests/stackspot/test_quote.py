"""What an error message may repeat of the platform's words."""

from __future__ import annotations

import random

import pytest

from custom_handler.settings import AccountSettings
from custom_handler.stackspot.private import Private
from custom_handler.stackspot.quote import MAX_QUOTE, REMOVED, quote
from tests.support.growth import is_linear

AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
ACCOUNT = AccountSettings(client_id="my-client", client_secret="s3cr&t", realm="acme-corp", agent_id=AGENT)
PROMPT = "[user]\nmeu cpf é 123.456.789-00 e o segredo do bolo é chocolate\n" + "café " * 50_000
PRIVATE = Private.of(ACCOUNT, AGENT, PROMPT)

KEPT = [
    "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 340000 tokens.",
    "Too many input tokens. Max input tokens: 8000, request input token count: 8192",
    "messages.0.content: text content blocks must be non-empty",
    "botocore.errorfactory.ValidationException: Malformed input request",
    "model gpt-4o-2024-08-06 not found, nor anthropic.claude-3-5-sonnet-20241022-v2:0",
    "upstream connect error or disconnect/reset before headers. reset reason: connection failure",
    "O limite diário foi atingido às 10:30:45. Tente amanhã, às 8h.",
    "DeploymentNotFound: The API deployment for this resource does not exist.",
    "INFERENCE_6001_LLM_MODEL_BAD_REQUEST: ratio 1.5, v1.2.3, e.g. code:400 (max:4096)",
    "Unsupported value: 'temperature' does not support 0.2 with this model.",
    "application/json is expected, not text/plain",
]


@pytest.mark.parametrize("text", KEPT)
def test_what_helps_is_kept(text):
    assert quote(text, PRIVATE) == text


REPLACED = {
    "a URL": ("at https://genai.stackspot.com/v1/agent?x=1 failed", "https|stackspot|agent"),
    "an address": ("connect to 10.1.2.3:8080 failed", "10.1|8080"),
    "an address of version 6": ("fe80::1 and 2001:db8::7:8080 failed", "fe80|2001"),
    "a host": ("genai-inference-app.stackspot.com:443 failed", "genai|443"),
    "a host of a cluster": ("inference.prod.svc.cluster.local failed", "inference|cluster"),
    "a host of a company": ("ia.itau.com.br failed", "itau"),
    "a host's port": ("redis:6379, node-7:9000 failed", "redis|node"),
    "a named host": ("host=db01, hostname: web-7 failed", "db01|web"),
    "a pod": ("pod inference-7c9d8f6b55-x2x9z failed", "inference-"),
    "this machine": ("localhost:8000 failed", "localhost"),
    "an AWS host": ("ip-10-0-3-7.ec2.internal failed", "10-0"),
    "an ARN": ("arn:aws:bedrock:us-east-1:123456789012:x/y failed", "bedrock|1234"),
    "a JWT": ("Bearer eyJhbGciOi.eyJzdWIiOiJ4In0.c2ln failed", "eyJ"),
    "a cut JWT": ("eyJhbGciOiJSUzI1NiIsInR5cCI failed", "eyJ"),
    "a key": ("Incorrect API key provided: sk-proj-abc123def456 failed", "abc123"),
    "named secrets": ('x-api-key: zzz9, password="hunter2", client_secret=abc failed', "zzz|hunter|abc"),
    "JSON secrets": ('{"access_token": "abcdef", "n": 1} failed', "abcdef"),
    "an e-mail address": ("user joao@itau.com.br failed", "joao|itau"),
    "the agent": (f"agent {AGENT} failed", AGENT),
    "another agent": ("agent 01BX5ZZKBKACTAV9WEVGEMMVRZ failed", "01BX"),
    "a UUID": ("request 123e4567-e89b-12d3-a456-426614174000 failed", "e89b"),
    "a trace": ("trace 4bf92f3577b34da6a3ce929d0e0e4736 failed", "4bf9"),
    "base64": ("blob dGhpcyBpcyBhIHNlY3JldCBibG9iIDEyMw== failed", "dGhp"),
    "a long number": ("account 123456789012 failed", "1234"),
    "the realm": ("realm ACME-Corp failed", "(?i)acme"),
    "the client": ("client my-client with s3cr&t failed", "my-client|s3cr"),
    "a path": ("/app/inference/main.py failed", "inference|main"),
    "a path of Windows": (r"C:\app\main.py failed", "main"),
    "the prompt": ("o segredo do bolo é chocolate failed", "segredo|bolo|chocolate"),
    "the prompt over lines": ("meu cpf é\n123.456.789-00 e o segredo failed", "456|segredo"),
    "the prompt's words in quotes": ("value 'do bolo é' failed", "bolo"),
    "pydantic's input": ("[type=too_short, input_value='olá mundo', input_type=str] failed", "mundo"),
}


@pytest.mark.parametrize(("text", "pattern"), REPLACED.values(), ids=REPLACED)
def test_what_is_private_is_removed(text, pattern):
    import re

    said = quote(text, PRIVATE)
    assert REMOVED in said
    assert said.endswith("failed")
    assert re.search(pattern, said) is None


def test_a_quote_has_one_line_of_printable_characters():
    said = quote("a\x00b\x1b[31m\r\n\u2028c\u202ed\u200be\ufeff\ud83df\x85g\tç😀")
    assert said == "a b [31m c d e f g ç😀"


@pytest.mark.parametrize(
    "text", ["", "  \n", "<html><body>502</body></html>", "<?xml version='1.0'?><Error/>", "x <!DOCTYPE html>"]
)
def test_a_page_is_not_quoted(text):
    assert quote(text) == ""


def test_a_quote_has_a_limited_length():
    assert quote("um " * 99 + "um.") == "um " * 99 + "um."
    assert quote("um " * 5000) == f"{('um ' * 5000)[: MAX_QUOTE - 1].rstrip()}…"


def test_a_secret_at_the_end_of_what_is_read_is_not_cut_in_half():
    for length in range(1980, 2001):
        assert "abc" not in quote("https://x/" + "a" * (length - 40) + " password=abcdefabcdef0123456789")


def test_the_proxy_does_not_take_a_quote_for_a_traceback_of_its_own():
    from custom_handler.proxy.middleware.error_bodies import remove_internals

    text = "1 validation error for ChatBody\nFile \"/app/x.py\", line 3, input_value='x', input_type=str"
    body = quote(text).encode()
    assert remove_internals(body) == body


HOSTILE = [
    "a.",
    "a-",
    "1",
    "a:",
    "/a",
    "token=",
    "'",
    "::",
    "aA1",
    "a@",
    "node ",
    "eyJ",
    '" ',
    "a b' ",
    "<",
    "input_value=",
]


@pytest.mark.parametrize("part", HOSTILE)
def test_a_text_of_any_length_takes_the_time_of_its_start(part):
    assert is_linear(lambda size: quote(part * (size // len(part)), PRIVATE), 100_000)


def test_a_prompt_of_any_length_takes_the_time_of_its_ends():
    words = ["the", "request", "of", "model", "user", "tool", "file", "path", "is", "not", "a"]
    prompt = " ".join(random.Random(1).choices(words, k=400_000))
    text = " ".join(random.Random(2).choices(words, k=100))
    assert is_linear(lambda size: quote(text, Private((), prompt[:size])), 1_000_000)
