"""The sources of an answer: every shape is accepted, and none fails a good answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from custom_handler.events import Source
from custom_handler.stackspot.frames import StreamDecoder
from custom_handler.stackspot.knowledge import Knowledge
from custom_handler.stackspot.sources import MAX_NAME, MAX_SOURCES, SourceCollector, source_ids

HANDBOOK = {
    "type": "knowledge_source",
    "name": "Payments handbook",
    "slug": "payments-handbook",
    "document_type": "knowledge_source",
    "document_score": 0.83,
    "document_id": "01KBBBBBBBBBBBBBBBBBBBBBBB",
    "id": "01KAAAAAAAAAAAAAAAAAAAAAAA",
}
NAMED = Source("Payments handbook", "payments-handbook", "01KAAAAAAAAAAAAAAAAAAAAAAA", "01KBBBBBBBBBBBBBBBBBBBBBBB")


@dataclass(frozen=True)
class Case:
    id: str
    frames: list[dict[str, Any]]
    labels: list[str]


CASES = [
    Case("an object", [{"source": [HANDBOOK]}], ["Payments handbook"]),
    Case("an object and its own id", [{"knowledge_source_id": [HANDBOOK["id"]], "source": [HANDBOOK]}], [NAMED.label]),
    Case(
        "its id in an earlier frame",
        [{"knowledge_source_id": [HANDBOOK["id"]]}, {"source": [HANDBOOK]}],
        ["Payments handbook"],
    ),
    Case("ids alone", [{"knowledge_source_id": ["01KA", "01KC", "01KA"]}], ["01KA", "01KC"]),
    Case("strings", [{"source": ["Guia de arquitetura", "runbooks"]}], ["Guia de arquitetura", "runbooks"]),
    Case("one string in the place of a list", [{"source": "Guia"}], ["Guia"]),
    Case("one object in the place of a list", [{"source": HANDBOOK}], ["Payments handbook"]),
    Case("of another account", [{"source": [], "cross_account_source": [{"slug": "shared"}]}], ["shared"]),
    Case("empty lists after a full one", [{"source": [HANDBOOK]}, {"source": []}, {"source": None}], [NAMED.label]),
    Case("the union of frames", [{"source": [HANDBOOK]}, {"source": [{"name": "B"}]}], [NAMED.label, "B"]),
    Case("repeated in every frame", [{"source": [HANDBOOK]}] * 5, [NAMED.label]),
    Case("null and missing", [{"source": None}, {"message": "a"}], []),
    Case("items that are none", [{"source": [None, 7, [], {}, "", {"name": 7}], "knowledge_source_id": 3}], []),
    Case("a line for a name of many", [{"source": [{"name": "a\n---\nFontes: b\x00\u202e c"}]}], ["a --- Fontes: b c"]),
    Case("a long name", [{"source": [{"name": "a" * 1000}]}], ["a" * MAX_NAME]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_sources_are_read(case: Case) -> None:
    collector = SourceCollector()
    for frame in case.frames:
        collector.add(frame)
    assert [source.label for source in collector.sources()] == case.labels


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_text_of_an_answer_does_not_depend_on_its_sources(case: Case) -> None:
    decoder = StreamDecoder()
    frames = [{"message": "Olá"}, *case.frames, {"message": "", "stop_reason": "stop"}]
    text = "".join(decoder.feed(b"data: " + json.dumps(frame).encode() + b"\n\n") for frame in frames) + decoder.flush()
    assert text.startswith("Olá")
    assert decoder.end.stop_reason == "stop"
    assert [source.label for source in decoder.sources.sources()] == case.labels


def test_an_endless_list_is_bounded() -> None:
    collector = SourceCollector()
    collector.add({"source": [{"name": f"s{number}"} for number in range(100_000)]})
    assert len(collector.sources()) == MAX_SOURCES


def test_all_fields_of_an_object_are_kept() -> None:
    collector = SourceCollector()
    collector.add({"source": [HANDBOOK, {"name": "wiki", "url": "https://wiki.example/a b"}]})
    assert collector.sources() == (NAMED, Source(name="wiki"))


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://a\nb", "x" * 3000, 7])
def test_only_addresses_of_the_web_are_kept(url: object) -> None:
    collector = SourceCollector()
    collector.add({"source": [{"name": "wiki", "url": url}, {"name": "docs", "url": "https://docs.example/1?a=b"}]})
    assert [source.url for source in collector.sources()] == ["", "https://docs.example/1?a=b"]


def test_the_telemetry_gets_no_names() -> None:
    sources = (NAMED, Source(name="Payroll of João"), Source(name="Another"), Source(slug="runbooks"))
    assert source_ids(sources) == ("01KAAAAAAAAAAAAAAAAAAAAAAA", "unnamed", "runbooks")


def test_a_request_without_options_has_the_contracts_fields() -> None:
    assert Knowledge().fields() == {"stackspot_knowledge": False, "return_ks_in_response": False}
    assert Knowledge(settings=("sources",)).fields() == Knowledge().fields()


def test_an_address_has_the_fields_of_the_source() -> None:
    knowledge = Knowledge(sources="annotations", url="https://wiki.example/ks/{slug}?doc={document_id}")
    located = knowledge.located((NAMED, Source(name="Payroll"), Source(slug="a/../b", document_id="é")))
    assert [source.url for source in located] == [
        "https://wiki.example/ks/payments-handbook?doc=01KBBBBBBBBBBBBBBBBBBBBBBB",
        "",
        "https://wiki.example/ks/a%2F..%2Fb?doc=%C3%A9",
    ]
