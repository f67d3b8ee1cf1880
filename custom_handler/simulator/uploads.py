"""Files for the context of a chat: a form from StackSpot, which is then posted to a storage."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp.web import FileField, Request

from .wire import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LARGEST_FILE = 10 * 1024 * 1024


class PostedFile(NamedTuple):
    """A file in a form."""

    name: str
    content_type: str
    data: bytes


async def read_form_data(request: Request) -> list[tuple[str, str | PostedFile]]:
    """Return the fields of a multipart form in their order, none for another body."""
    fields: list[tuple[str, str | PostedFile]] = []
    for name, value in (await request.post()).items():
        if isinstance(value, FileField):
            with value.file as file:
                fields.append((name, PostedFile(value.filename, value.content_type, file.read())))
        else:
            fields.append((name, str(value)))
    return fields


class Uploads:
    """The issued forms, and what is known of the posted files; both by upload id."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        self._forms: dict[str, dict[str, str]] = {}
        self._owners: dict[str, str] = {}

    def create_form(self, wanted: Mapping[str, Any], upload_id: str, origin: str, account: str) -> dict[str, Any]:
        """Return the response to a request for an upload; raises ValueError if it is invalid."""
        name, expiration = wanted.get("file_name"), wanted.get("expiration")
        if not (isinstance(name, str) and name and isinstance(expiration, int) and expiration > 0):
            raise ValueError("file_name must be a string and expiration a positive whole number")
        if wanted.get("target_type") != "CONTEXT":
            raise ValueError('target_type must be "CONTEXT"')
        self._owners[upload_id] = account
        form = self._forms[upload_id] = {
            "key": f"uploads/{upload_id}/{name}",
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "policy": secrets.token_urlsafe(24),
            "x-amz-signature": secrets.token_hex(32),
        }
        return {"id": upload_id, "url": f"{origin}/upload/{upload_id}", "form": form}

    def store(self, upload_id: str, fields: Sequence[tuple[str, str | PostedFile]], *, authorized: bool) -> None:
        """Store the file of a posted form; raises RefusedError as a storage for signed forms."""
        if upload_id not in self._forms:
            raise RefusedError(404, "NoSuchUpload")
        if authorized:
            raise RefusedError(400, "Only one auth mechanism allowed")
        name, file = fields[-1] if fields else ("", None)
        if name != "file" or not isinstance(file, PostedFile):
            raise RefusedError(400, "The file must be the last field")
        if dict(fields[:-1]) != self._forms[upload_id]:
            raise RefusedError(403, "SignatureDoesNotMatch")
        if len(file.data) > LARGEST_FILE:
            raise RefusedError(400, "EntityTooLarge")
        self.files[upload_id] = {
            "id": upload_id,
            "name": file.name,
            "content_type": file.content_type,
            "size": len(file.data),
            "sha256": hashlib.sha256(file.data).hexdigest(),
        }

    def find_missing(self, upload_ids: Iterable[object], account: str) -> str | None:
        """Return the first id for which the account has no file."""
        own = {upload_id for upload_id in self.files if self._owners[upload_id] == account}
        return next((str(upload_id) for upload_id in upload_ids if upload_id not in own), None)
