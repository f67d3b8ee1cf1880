"""The models and versions of the simulated agents."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("fields", [{"selected_model": "gpt-5"}, {"selected_model": None}, {"agent_version_number": 3}])
async def test_a_model_and_a_version_of_the_agent_are_accepted(service, fields):
    assert (await service.ask(**fields)).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"selected_model": "gpt-2"}, 400, "INFERENCE_4001_MODEL_NOT_ALLOWED"),
        ({"agent_version_number": 9}, 404, "AGENT_VERSION_NOT_FOUND"),
        ({"selected_model": 5}, 400, "INFERENCE_4000_INVALID_REQUEST"),
    ],
)
async def test_others_are_refused(service, fields, status, code):
    refused = await service.ask(**fields)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_the_settings_name_them(service):
    await service.configure(agent_models=["gpt-2"], agent_versions=[9])
    assert (await service.ask(selected_model="gpt-2", agent_version_number=9)).status_code == 200
    await service.configure(documented_fields_only=True)
    assert (await service.ask(selected_model="gpt-2")).json()["code"] == "INFERENCE_4220_UNKNOWN_FIELD"
