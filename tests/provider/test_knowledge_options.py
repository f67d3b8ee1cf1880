"""Options of `model_info` on knowledge: what each sends to the agent, and how its sources arrive."""

from __future__ import annotations

from typing import Any

import litellm
import pytest

from custom_handler.errors import ConfigurationError
from custom_handler.provider.knowledge_options import knowledge_of

HANDBOOK = {"name": "Payments handbook", "id": "01KA", "document_id": "01KB"}
IDS = ["01KS0000000000000000000001"]
PLAIN = {"stackspot_knowledge": False, "return_ks_in_response": False}
ASKED = PLAIN | {"return_ks_in_response": True}
SENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, PLAIN),
    ({"sources": "none"}, PLAIN),
    ({"knowledge": False}, PLAIN),
    ({"sources_url": "https://wiki.example/{id}", "sources_title": "Fontes"}, PLAIN),
    ({"sources": "annotations"}, ASKED),
    ({"sources": "footer"}, ASKED),
    ({"knowledge": True}, ASKED | {"stackspot_knowledge": True}),
    ({"knowledge": True, "sources": "none"}, ASKED | {"stackspot_knowledge": True}),
    ({"knowledge_sources": IDS * 2}, ASKED | {"knowledge_source_ids": IDS}),
    ({"knowledge_sources": IDS, "deep_search": True}, ASKED | {"knowledge_source_ids": IDS, "deep_search_ks": True}),
    ({"deep_search": False}, PLAIN | {"deep_search_ks": False}),
]
WRONG: list[tuple[str, object]] = [
    ("knowledge", "yes"),
    ("knowledge_sources", "01KS0000000000000000000001"),
    ("knowledge_sources", ["not an id"]),
    ("knowledge_sources", [7]),
    ("knowledge_sources", IDS * 101),
    ("deep_search", 1),
    ("sources", "links"),
    ("sources", ["footer"]),
    ("sources_url", "javascript:{id}"),
    ("sources_url", "https://wiki.example/{secret}"),
    ("sources_url", 7),
    ("sources_title", ""),
    ("sources_title", "a" * 41),
]


def model(**info: Any) -> dict[str, Any]:
    return {"litellm_params": {"model_info": info}}


@pytest.mark.parametrize(("info", "fields"), SENT)
def test_only_what_is_configured_is_sent(ask, provider, simulator, hello, info, fields):
    ask(provider, hello, **model(**info))
    (record,) = simulator.requests("chat")
    assert record["body"] == {"streaming": True, **fields}


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_option_is_an_error_that_names_it(name, value):
    with pytest.raises(ConfigurationError, match=rf"model_info\.{name} is .* in config\.yaml: "):
        knowledge_of({name: value, "sources": "footer"} | {name: value})


def test_a_clients_body_cannot_ask_for_knowledge(ask, provider, simulator, hello):
    given = {"knowledge": True, "knowledge_sources": IDS, "stackspot_knowledge": True, "knowledge_source_ids": IDS}
    ask(provider, hello, optional_params=given)
    (record,) = simulator.requests("chat")
    assert record["body"] == {"streaming": True, **PLAIN}


@pytest.mark.parametrize("frame", ["first", "final"])
def test_annotations_stand_at_the_end_of_the_text(provider, simulator, hello, frame):
    simulator.script({"text": "Olá, João", frame: {"source": [HANDBOOK]}, "fat": True, "times": 2})
    whole = provider.completion("wiki", hello, **model(sources="annotations")).choices[0].message
    citation = {"start_index": 9, "end_index": 9, "title": "Payments handbook", "url": "urn:stackspot:knowledge:01KB"}
    assert whole.content == "Olá, João"
    assert whole.annotations == [{"type": "url_citation", "url_citation": citation}]
    deltas = [chunk.choices[0].delta for chunk in provider.streaming("wiki", hello, **model(sources="annotations"))]
    assert "".join(delta.content or "" for delta in deltas) == "Olá, João"
    assert [delta.annotations for delta in deltas if getattr(delta, "annotations", None)] == [whole.annotations]


@pytest.mark.parametrize("shown", ["annotations", "footer"])
def test_no_sources_change_nothing(ask, provider, simulator, hello, shown):
    simulator.script({"text": "Olá"}, {"text": "Olá"})
    assert ask(provider, hello, **model(sources=shown)).told() == ask(provider, hello).told()


def test_a_footer_is_text_for_every_client(ask, provider, simulator, hello):
    sources = [HANDBOOK, {"slug": "runbooks"}, HANDBOOK | {"document_id": "01KC"}]
    simulator.script({"text": "Olá", "final": {"source": sources}})
    answer = ask(provider, hello, **model(sources="footer", sources_title="Fontes:"))
    assert answer.content == "Olá\n\n---\nFontes: Payments handbook, runbooks"


UNTOUCHED: list[tuple[str, dict[str, Any]]] = [
    ('{"a": 1}', {"response_format": {"type": "json_object"}}),
    ("um dois três quatro", {"max_tokens": 1}),
    ("um STOP dois", {"stop": ["STOP"]}),
]


@pytest.mark.parametrize("shown", ["annotations", "footer"])
@pytest.mark.parametrize(("text", "params"), UNTOUCHED)
def test_json_and_cut_answers_stay_as_they_are(ask, provider, simulator, hello, shown, text, params):
    plays = {"text": text, "first": {"source": [HANDBOOK]}}
    simulator.script(plays, plays)
    answer = ask(provider, hello, optional_params=params, **model(sources=shown))
    plain = ask(provider, hello, optional_params=params)
    assert (answer.content, answer.finish) == (plain.content, plain.finish)  # how much was read may differ
    assert not any(getattr(chunk.choices[0].delta, "annotations", None) for chunk in answer.chunks)


@pytest.mark.parametrize("shown", ["annotations", "footer"])
def test_calls_stay_as_they_are(ask, provider, simulator, hello, weather, shown):
    call = 'Vou ver.\nFUNCTION_CALL_START\nget_weather\narguments: {"city": "Recife"}\nFUNCTION_CALL_END'
    simulator.script({"text": call, "final": {"source": [HANDBOOK]}, "times": 2})
    answer = ask(provider, hello, **weather, **model(sources=shown))
    assert answer.told() == ask(provider, hello, **weather).told()
    assert not any(getattr(chunk.choices[0].delta, "annotations", None) for chunk in answer.chunks)


def test_a_hidden_request_asks_for_no_knowledge(ask, provider, simulator, hello):
    simulator.script({"text": "no JSON"}, {"text": '{"a": 1}'})
    ask(provider, hello, optional_params={"response_format": {"type": "json_object"}}, **model(knowledge=True))
    first, repair = simulator.requests("chat")
    assert first["body"]["stackspot_knowledge"] is True
    assert repair["body"] == {"streaming": True, **PLAIN}


@pytest.mark.parametrize("content", [str, lambda text: [{"type": "text", "text": text}]], ids=["string", "parts"])
def test_the_agent_never_reads_a_footer(ask, provider, simulator, hello, content):
    for shown, seen in (("footer", False), ("none", True)):
        simulator.reset()
        answer = {"role": "assistant", "content": content("Sim.\n\n---\nSources: Payments handbook\n")}
        ask(provider, [*hello, answer, {"role": "user", "content": "---\nSources: mine"}], **model(sources=shown))
        (record,) = simulator.requests("chat")
        assert ("Sources: Payments handbook" in record["prompt"]) is seen
        assert "Sources: mine" in record["prompt"]


def test_a_conversation_that_the_platform_keeps_goes_on_behind_a_footer(ask, provider, simulator, hello):
    options = {"model_info": {"conversation": "native", "knowledge": True, "sources": "footer"}}
    call = {"litellm_params": options, "headers": {"correlation-id": "footer"}}
    answer = ask(provider, hello, **call).content
    assert answer.endswith("\n\n---\nSources: Payments handbook, Guia de arquitetura")
    ask(provider, [*hello, {"role": "assistant", "content": answer}, {"role": "user", "content": "E?"}], **call)
    first, second = simulator.requests("chat")
    assert second["body"]["conversation_id"] == first["body"]["conversation_id"]
    assert answer[:20] not in second["prompt"]


def test_a_refusal_names_the_options(provider, simulator, hello):
    simulator.configure(documented_fields_only=True)
    with pytest.raises(
        litellm.BadRequestError, match=r"model_info\.knowledge_sources, model_info\.deep_search"
    ) as refused:
        provider.completion("wiki", hello, **model(knowledge_sources=IDS, deep_search=True))
    assert "knowledge_source_ids" in str(refused.value)
