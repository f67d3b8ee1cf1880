"""Files for the context of a chat."""

import hashlib

import pytest

WANTED = {"file_name": "notes.txt", "target_type": "CONTEXT", "expiration": 60}


async def permit(service):
    return (await service.client.post("/v2/file-upload/form", json=WANTED)).json()


async def post_file(service, permission, data=b"hello", fields=None, headers=None):
    client = service.client
    request = client.build_request(
        "POST", permission["url"], data=fields or permission["form"], files={"file": ("notes.txt", data)}
    )
    request.headers.pop("Authorization")
    request.headers.update(headers or {})
    return await client.send(request)


async def test_an_upload_form_has_an_id_and_a_url(service):
    permission = await permit(service)
    assert set(permission) == {"id", "url", "form"}
    assert permission["url"].startswith(service.simulator.url)


async def test_a_file_is_posted_with_every_field_of_the_form(service):
    permission = await permit(service)
    answer = await post_file(service, permission)
    assert (answer.status_code, answer.content) == (204, b"")
    chat = await service.ask(upload_ids=[permission["id"]])
    assert chat.status_code == 200


async def test_a_file_posted_with_authorization_is_refused(service):
    answer = await post_file(service, await permit(service), headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.text) == (400, "Only one auth mechanism allowed")


async def test_a_file_posted_without_a_field_of_the_form_is_refused(service):
    permission = await permit(service)
    fields = {name: value for name, value in permission["form"].items() if name != "policy"}
    assert (await post_file(service, permission, fields=fields)).status_code == 403


async def test_a_file_that_is_not_the_last_field_is_refused(service):
    permission = await permit(service)
    parts = [("file", ("notes.txt", b"hello")), *((name, (None, value)) for name, value in permission["form"].items())]
    request = service.client.build_request("POST", permission["url"], files=parts)
    request.headers.pop("Authorization")
    assert (await service.client.send(request)).status_code == 400


async def test_a_file_above_ten_megabytes_is_refused(service):
    answer = await post_file(service, await permit(service), b"a" * (10 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.text) == (400, "EntityTooLarge")


async def test_other_bodies_and_unknown_uploads_are_refused(service):
    permission = await permit(service)
    request = service.client.build_request("POST", permission["url"], content=b"hello")
    request.headers.pop("Authorization")
    assert (await service.client.send(request)).status_code == 400
    permission["url"] = permission["url"][:-1] + "?"
    assert (await post_file(service, permission)).status_code == 404


@pytest.mark.parametrize(
    "changes", [{"file_name": ""}, {"target_type": "KNOWLEDGE_SOURCE"}, {"expiration": 0}, {"expiration": "60"}]
)
async def test_an_invalid_request_for_a_form_is_a_bad_request(service, changes):
    answer = await service.client.post("/v2/file-upload/form", json=WANTED | changes)
    assert answer.status_code == 400


async def test_an_upload_form_needs_a_token(service):
    await service.client.post("/control/revoke")
    assert (await service.client.post("/v2/file-upload/form", json=WANTED)).status_code == 401


async def test_a_chat_with_a_missing_upload_is_not_found(service):
    permission = await permit(service)
    answer = await service.ask(upload_ids=[permission["id"]])
    assert (answer.status_code, answer.json()["code"]) == (404, "UPLOAD_NOT_FOUND")
    await post_file(service, permission)
    assert (await service.ask(upload_ids=[permission["id"]])).status_code == 200


async def test_files_are_listed_without_their_bytes_until_they_are_lost(service):
    permission = await permit(service)
    await post_file(service, permission)
    (listed,) = (await service.client.get("/control/uploads")).json()
    assert listed == {
        "id": permission["id"],
        "name": "notes.txt",
        "content_type": "text/plain",
        "size": 5,
        "sha256": hashlib.sha256(b"hello").hexdigest(),
    }
    await service.client.delete("/control")
    assert len((await service.client.get("/control/uploads")).json()) == 1
    await service.client.delete("/control/uploads")
    assert (await service.client.get("/control/uploads")).json() == []
    assert (await service.ask(upload_ids=[permission["id"]])).status_code == 404


async def test_both_steps_are_recorded_without_credentials(service):
    await post_file(service, await permit(service))
    (permission,) = await service.requests(at="upload")
    (storage,) = await service.requests(at="storage")
    assert (permission["body"], permission["status"]) == (WANTED, 200)
    assert permission["headers"]["authorization"].startswith("Bearer sha256:")
    assert (storage["status"], "authorization" in storage["headers"]) == (204, False)


async def test_an_upload_form_and_a_storage_can_be_scripted(service):
    await service.script(
        {"at": "upload", "match": "notes", "status": 403, "body": {"code": "FORBIDDEN"}},
        {"at": "storage", "status": 503, "delay_headers": 0.01},
    )
    refused = await service.client.post("/v2/file-upload/form", json=WANTED)
    assert (refused.status_code, refused.json()) == (403, {"code": "FORBIDDEN"})
    permission = await permit(service)
    assert (await post_file(service, permission)).status_code == 503
    assert (await post_file(service, permission)).status_code == 204


@pytest.mark.parametrize("at", ["upload", "storage"])
async def test_uploads_can_be_scripted_only_with_faults_before_a_response(service, at):
    answer = await service.client.post("/control/script", json={"plays": [{"at": at, "fault": "stall"}]})
    assert answer.status_code == 400
    await service.script({"at": at, "fault": "close_before"})
