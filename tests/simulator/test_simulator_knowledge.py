"""Knowledge sources of the simulated account."""

from __future__ import annotations

import pytest

HANDBOOK, GUIDE = "01KS0000000000000000000001", "01KS0000000000000000000002"


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, []),
        ({"knowledge_source_ids": [GUIDE]}, []),
        ({"return_ks_in_response": True}, []),
        ({"return_ks_in_response": True, "knowledge_source_ids": [GUIDE]}, ["Guia de arquitetura"]),
        ({"return_ks_in_response": True, "stackspot_knowledge": True}, ["Payments handbook", "Guia de arquitetura"]),
    ],
)
async def test_the_last_frame_names_the_sources_that_were_asked_for(service, fields, names):
    frames = await service.ask_for_frames(**fields)
    assert [source["name"] for source in frames[-1]["source"]] == names
    assert frames[0]["source"] == []


async def test_an_unknown_source_is_refused(service):
    refused = await service.ask(knowledge_source_ids=["01KZ"])
    assert (refused.status_code, refused.json()["code"]) == (400, "KNOWLEDGE_SOURCE_NOT_FOUND")


async def test_undocumented_fields_can_be_refused(service):
    await service.configure(documented_fields_only=True)
    refused = await service.ask(knowledge_source_ids=[HANDBOOK])
    assert (refused.status_code, refused.json()["code"]) == (422, "INFERENCE_4220_UNKNOWN_FIELD")
    assert (await service.ask(deep_search_ks=True)).status_code == 200


async def test_a_script_changes_the_first_frame(service):
    await service.script({"text": "a", "first": {"source": "Guide"}})
    frames = await service.ask_for_frames()
    assert (frames[0]["source"], frames[-1]["source"]) == ("Guide", [])
