"""Finds the files in a request's messages, decodes, limits and names them.

    messages ──▶ find_files ──▶ (https URLs are fetched) ──▶ name_files ──▶ with_placeholders
                 FilePart                                    File

A file's type is determined by its bytes; the declared type counts only where they are ambiguous.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from ..data_class import data_class
from ..errors import RequestError
from ..settings import UploadSettings
from .chat_request import Message

SUPPORTED_TYPES = "PNG, JPEG, GIF, WebP, PDF, text in UTF-8, and Word, Excel and PowerPoint files"
MAX_NAME_LENGTH = 100
MAX_URI_HEAD = 1000  # of a data URI, up to its comma; limits the search for that

_ROLES = frozenset({"user", "tool", "function"})
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[^;,]*)*?)(;base64)?,", re.IGNORECASE)
_INVALID_IN_NAME = re.compile(r"[\x00-\x1f\x7f\[\]\"<>|:*?]+")


@data_class
class FilePart:
    """A part of a message with a file (`data`) or its URL, and the declared name and type."""

    message: int
    part: int
    name: str = field(repr=False)
    declared: str = ""
    data: bytes = field(default=b"", repr=False)
    url: str = field(default="", repr=False)

    @property
    def where(self) -> str:
        """The field of the request that contains it."""
        return _where(self.message, self.part)


@data_class
class File:
    """A file to upload; `digest` identifies its name, type and bytes."""

    where: str
    name: str = field(repr=False)
    content_type: str
    data: bytes = field(repr=False)
    digest: str = field(repr=False)


@data_class
class FileType:
    """A type of file, with stem and extension of a default name."""

    content_type: str
    extension: str
    stem: str = "file"


_WEBP = FileType("image/webp", "webp", "image")
_BY_SIGNATURE: tuple[tuple[bytes, FileType], ...] = (
    (b"\x89PNG\r\n\x1a\n", FileType("image/png", "png", "image")),
    (b"\xff\xd8\xff", FileType("image/jpeg", "jpg", "image")),
    (b"GIF87a", FileType("image/gif", "gif", "image")),
    (b"GIF89a", FileType("image/gif", "gif", "image")),
    (b"%PDF-", FileType("application/pdf", "pdf")),
)
_OFFICE: Mapping[bytes, tuple[FileType, ...]] = {  # containers: the declared type decides
    b"PK\x03\x04": (
        FileType("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
        FileType("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
        FileType("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": (
        FileType("application/msword", "doc"),
        FileType("application/vnd.ms-excel", "xls"),
        FileType("application/vnd.ms-powerpoint", "ppt"),
    ),
}
_TEXTS: Mapping[str, str] = {
    "text/plain": "txt",
    "text/markdown": "md",
    "text/csv": "csv",
    "text/html": "html",
    "application/json": "json",
    "application/xml": "xml",
    "application/yaml": "yaml",
}
_BINARY = (
    "image/",
    "audio/",
    "video/",
    "application/pdf",
    *(kind.content_type for kinds in _OFFICE.values() for kind in kinds),
)


def find_files(messages: Sequence[Message], settings: UploadSettings) -> tuple[FilePart, ...]:
    """Return the files in the messages; raises RequestError for an invalid one and for too many."""
    found = tuple(_file_parts(messages, settings)) if settings.enabled else ()
    urls = list({part.url: part for part in found if part.url}.values())
    if len(urls) > settings.max_files:  # all would be fetched before the files are counted
        raise _too_many(urls[settings.max_files].where, settings.max_files)
    return found


def _file_parts(messages: Sequence[Message], settings: UploadSettings) -> Iterator[FilePart]:
    for number, message in enumerate(messages):
        content = message.get("content")
        if message["role"] not in _ROLES or isinstance(content, str) or not isinstance(content, Sequence):
            continue
        for place, part in enumerate(content):
            if (source := _source(part, _where(number, place))) is None:
                continue
            given, name, declared, bare = source
            if (read := _read(given, _where(number, place), settings, bare=bare)) is not None:
                kind, data, url = read
                yield FilePart(number, place, name, kind or declared, data, url)


def _source(part: object, where: str) -> tuple[str, str, str, bool] | None:
    """Return data or URL, name, declared type, and whether base64 without a data URI is allowed."""
    if not isinstance(part, Mapping):
        return None
    if part.get("type") in {"image_url", "input_image"}:
        image = part.get("image_url")
        image = image if isinstance(image, Mapping) else {"url": image}
        return _string(image, "url"), "", _string(image, "format"), False
    if part.get("type") in {"file", "input_file"}:
        nested = part.get("file")
        file: Mapping[str, Any] = nested if isinstance(nested, Mapping) else part
        url = _string(file, "file_id") or _string(file, "file_url")  # a bridge of LiteLLM renames the second
        if not _string(file, "file_data") and not _is_url(url):
            raise _file_error(where, "this proxy keeps no files, send the file itself in file_data")
        return _string(file, "file_data") or url, _string(file, "filename"), _string(file, "format"), True
    return None


def _read(given: str, where: str, settings: UploadSettings, *, bare: bool) -> tuple[str, bytes, str] | None:
    """Return type, bytes and URL; None for a URL, a mere placeholder, if none is fetched."""
    if _is_url(given):
        if not settings.fetch_urls:
            return None
        if not given.startswith("https://"):
            raise _file_error(where, "only https addresses are fetched")
        return "", b"", given
    uri = _DATA_URI.match(given, 0, MAX_URI_HEAD)
    if uri is not None and uri[3]:
        return uri[1] or "", _decoded(given[uri.end() :], where, settings.max_bytes), ""
    if bare and not given.startswith("data:"):
        return "", _decoded(given, where, settings.max_bytes), ""
    raise _file_error(where, "it must be a data URI with base64: data:image/png;base64,…")


def _decoded(text: str, where: str, limit: int) -> bytes:
    if len(text) > 1.4 * limit + 100:  # four characters for three bytes, and perhaps line breaks
        raise file_too_large(where, limit)
    try:
        data = base64.b64decode(text.encode("ascii").translate(None, b" \t\r\n"), validate=True)
    except (binascii.Error, ValueError):
        raise _file_error(where, "its base64 cannot be decoded, write it with +, / and the = at its end") from None
    if not data:
        raise _file_error(where, "the file is empty")
    if len(data) > limit:
        raise file_too_large(where, limit)
    return data


def name_files(parts: Sequence[FilePart], limit: int) -> tuple[File, ...]:
    """Return the file of each part, with a unique name; equal files become one.

    Raises RequestError for an unsupported type, and for more than `limit` files.
    """
    known: dict[tuple[str, bytes], File] = {}
    names: set[str] = set()
    files = []
    for part in parts:
        key = part.name, hashlib.sha256(part.data).digest()
        if key not in known:
            kind = _file_type(part)
            name = _unique_name(part.name, kind, names)
            digest = hashlib.sha256(f"{name}\0{kind.content_type}\0".encode() + key[1]).hexdigest()
            known[key] = File(part.where, name, kind.content_type, part.data, digest)
        files.append(known[key])
        if len(known) > limit:
            raise _too_many(part.where, limit)
    return tuple(files)


def _file_type(part: FilePart) -> FileType:
    """Return the type by signature; for an office file as declared; else text, if it is UTF-8."""
    kind = _by_signature(part.data) or _office_type(part) or _text_type(part)
    if kind is None:
        raise _file_error(part.where, f"the file is of no type that can be uploaded: {SUPPORTED_TYPES}")
    return kind


def _by_signature(data: bytes) -> FileType | None:
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _WEBP
    return next((kind for begin, kind in _BY_SIGNATURE if data.startswith(begin)), None)


def _office_type(part: FilePart) -> FileType | None:
    kinds = (kind for begin, kinds in _OFFICE.items() if part.data.startswith(begin) for kind in kinds)
    declared, name = part.declared.lower(), (part.name or re.split("[?#]", part.url)[0]).lower()
    return next((kind for kind in kinds if declared == kind.content_type or name.endswith(f".{kind.extension}")), None)


def _text_type(part: FilePart) -> FileType | None:
    declared = part.declared.lower()
    if declared.startswith(_BINARY) or part.data.startswith(tuple(_OFFICE)) or not _is_text(part.data):
        return None
    content_type = declared if declared.startswith("text/") or declared in _TEXTS else "text/plain"
    return FileType(content_type, _TEXTS.get(content_type, "txt"))


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _unique_name(given: str, kind: FileType, names: set[str]) -> str:
    """Return a name that is valid in a prompt and a header; add it to `names`."""
    bare = _INVALID_IN_NAME.sub("_", re.split(r"[/\\]", given)[-1]).strip(" .")
    stem, dot, extension = "".join(filter(str.isprintable, bare)).rpartition(".")
    if not dot or not stem:
        stem, extension = stem or extension, kind.extension
    stem, extension = stem[:MAX_NAME_LENGTH], extension[:10]
    number = 1
    name = f"{stem}.{extension}" if stem else f"{kind.stem}-{number}.{extension}"
    while name in names:
        number += 1
        name = f"{stem or kind.stem}-{number}.{extension}"
    names.add(name)
    return name


def with_placeholders(
    messages: Sequence[Message], parts: Sequence[FilePart], files: Sequence[File]
) -> Sequence[Message]:
    """Return the messages with each file part replaced by a line of text with the file's name."""
    by_position = {(part.message, part.part): file for part, file in zip(parts, files, strict=True)}
    with_files = {message for message, _ in by_position}
    return [
        {
            **message,
            "content": [
                _placeholder(by_position[number, place]) if (number, place) in by_position else part
                for place, part in enumerate(message["content"])
            ],
        }
        if number in with_files
        else message
        for number, message in enumerate(messages)
    ]


def with_unread_files(messages: Sequence[Message], parts: Sequence[FilePart]) -> Sequence[Message]:
    """Return what `with_placeholders` does, nearly: a file keeps the name that it was sent with."""
    names = (_INVALID_IN_NAME.sub("_", part.name)[:MAX_NAME_LENGTH] or "image-1.png" for part in parts)
    files = [File(part.where, name, "image/png", b"", "") for part, name in zip(parts, names, strict=True)]
    return with_placeholders(messages, parts, files)


def _placeholder(file: File) -> Mapping[str, str]:
    kind = "image" if file.content_type.startswith("image/") else "file"
    return {"type": "text", "text": f"[{kind} {file.name}: attached]"}


def file_too_large(where: str, limit: int) -> RequestError:
    """Return the error for a file of more than `limit` bytes."""
    return _file_error(where, f"the file has more than {limit} bytes, send a smaller one (STACKSPOT_UPLOAD_BYTES)")


def files_too_large(where: str, limit: int) -> RequestError:
    """Return the error for fetched files of more than `limit` bytes together."""
    return _file_error(where, f"the files of its addresses have more than {limit} bytes together, leave some out")


def _too_many(where: str, limit: int) -> RequestError:
    return _file_error(
        where, f"the conversation holds more than {limit} files, leave some out (STACKSPOT_UPLOAD_FILES)"
    )


def _file_error(where: str, message: str) -> RequestError:
    return RequestError(f"{where}: {message}.", param=where)


def _where(message: int, part: int) -> str:
    return f"messages[{message}].content[{part}]"


def _string(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _is_url(given: str) -> bool:
    return given.startswith(("https://", "http://"))
