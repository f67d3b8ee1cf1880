"""Files that become a chat's context: a permission from StackSpot, then a form posted to a storage."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequestError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from email.message import MIMEPart

    from .http_messages import Request

LARGEST_FILE = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was taken."""

    name: str
    content_type: str
    data: bytes

    def told(self, upload_id: str) -> dict[str, Any]:
        """What can be said of it in JSON."""
        return {
            "id": upload_id,
            "name": self.name,
            "content_type": self.content_type,
            "size": len(self.data),
            "sha256": hashlib.sha256(self.data).hexdigest(),
        }


class Uploads:
    """The permissions given and the files taken under them."""

    def __init__(self) -> None:
        self._forms: dict[str, dict[str, str]] = {}
        self.files: dict[str, StoredFile] = {}

    def permit(self, wanted: Mapping[str, Any], upload_id: str, origin: str) -> dict[str, Any]:
        """The answer to a request for an upload; raises InvalidRequestError when it asks wrongly."""
        if not isinstance(wanted.get("file_name"), str) or not wanted["file_name"]:
            raise InvalidRequestError("file_name must be a string that is not empty")
        if wanted.get("target_type") != "CONTEXT":
            raise InvalidRequestError('target_type must be "CONTEXT"')
        expiration = wanted.get("expiration")
        if not isinstance(expiration, int) or isinstance(expiration, bool) or expiration <= 0:
            raise InvalidRequestError("expiration must be a positive whole number")
        form = {
            "key": f"uploads/{upload_id}/{wanted['file_name']}",
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "policy": secrets.token_urlsafe(24),
            "x-amz-signature": secrets.token_hex(32),
        }
        self._forms[upload_id] = form
        return {"id": upload_id, "url": f"{origin}/upload/{upload_id}", "form": form}

    def store(self, call: Request) -> None:
        """Take the file of a posted form; raises RefusedError as a storage with signed forms would."""
        upload_id = call.params["upload_id"]
        form = self._forms.get(upload_id)
        if form is None:
            raise RefusedError(404, "NoSuchUpload")
        if call.authorization:
            raise RefusedError(400, "Only one auth mechanism allowed")
        parts = _read_parts(call)
        if not parts or _name(parts[-1]) != "file":
            raise RefusedError(400, "The file must be the last field")
        if {_name(part): _data(part) for part in parts[:-1]} != {key: form[key].encode() for key in form}:
            raise RefusedError(403, "SignatureDoesNotMatch")
        file, data = parts[-1], _data(parts[-1])
        if len(data) > LARGEST_FILE:
            raise RefusedError(400, "EntityTooLarge")
        self.files[upload_id] = StoredFile(file.get_filename() or "", file.get_content_type(), data)

    def missing(self, wanted: Iterable[object]) -> list[str]:
        """Those of the ids in a chat request under which no file was taken."""
        return [str(upload_id) for upload_id in wanted if upload_id not in self.files]

    def listed(self) -> list[dict[str, Any]]:
        """What was taken, in its order."""
        return [file.told(upload_id) for upload_id, file in self.files.items()]

    def lose(self) -> None:
        """Lose every file and every permission."""
        self.files.clear()
        self._forms.clear()


def _read_parts(call: Request) -> list[MIMEPart]:
    head = f"Content-Type: {call.content_type}\r\n\r\n".encode("latin-1", errors="replace")
    message = BytesParser(policy=HTTP).parsebytes(head + call.body)
    return list(message.iter_parts()) if message.is_multipart() else []


def _name(part: MIMEPart) -> str:
    return str(part.get_param("name", header="content-disposition"))


def _data(part: MIMEPart) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""
