"""Files that a request brings along: found in its messages, decoded, held against the limits, named.

    messages ──▶ enclosed ──▶ (an https address is fetched) ──▶ named ──▶ shown: messages that name each file
                 Enclosure                                      File

What a file is, its own bytes say; a client's word counts only where these leave it open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import RequestError
from ..settings import UploadSettings
from .chat_request import Message

KNOWN = "PNG, JPEG, GIF, WebP, PDF, text in UTF-8, and Word, Excel and PowerPoint files"
LONGEST_NAME = 100
LONGEST_HEAD = 1000  # of a data URI, up to its comma: where there is none, megabytes would be searched

_ROLES = frozenset({"user", "tool", "function"})
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[^;,]*)*?)(;base64)?,", re.IGNORECASE)
_UNFIT = re.compile(r"[\x00-\x1f\x7f\[\]\"<>|:*?]+")


@dataclass(frozen=True, slots=True)
class FilePart:
    """A part of a message that holds a file (`data`), or tells where one is (`url`), with what the client says of it."""

    message: int
    part: int
    name: str = field(repr=False)
    declared: str = ""
    data: bytes = field(default=b"", repr=False)
    url: str = field(default="", repr=False)

    @property
    def where(self) -> str:
        """The field of the request that holds it."""
        return _where(self.message, self.part)


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is uploaded; `digest` tells it from any other by name, type and bytes."""

    where: str
    name: str = field(repr=False)
    content_type: str
    data: bytes = field(repr=False)
    digest: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FileType:
    """A type of file, and what a name that is made for it begins and ends with."""

    content_type: str
    extension: str
    stem: str = "file"


_WEBP = FileType("image/webp", "webp", "image")
_SIGNED: tuple[tuple[bytes, FileType], ...] = (
    (b"\x89PNG\r\n\x1a\n", FileType("image/png", "png", "image")),
    (b"\xff\xd8\xff", FileType("image/jpeg", "jpg", "image")),
    (b"GIF87a", FileType("image/gif", "gif", "image")),
    (b"GIF89a", FileType("image/gif", "gif", "image")),
    (b"%PDF-", FileType("application/pdf", "pdf")),
)
_OFFICE: Mapping[bytes, tuple[FileType, ...]] = {  # containers, of which the client says what they hold
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
_NO_TEXT = (
    "image/",
    "audio/",
    "video/",
    "application/pdf",
    *(kind.content_type for kinds in _OFFICE.values() for kind in kinds),
)


def find_files(messages: Sequence[Message], settings: UploadSettings) -> tuple[FilePart, ...]:
    """Find the files in a conversation; raises RequestError for one that cannot be read, or is too large, and for too many."""
    found = tuple(_enclosed(messages, settings)) if settings.enabled else ()
    addresses = list({one.url: one for one in found if one.url}.values())
    if len(addresses) > settings.max_files:  # each would be fetched before the files are counted
        raise _too_many(addresses[settings.max_files].where, settings.max_files)
    return found


def _enclosed(messages: Sequence[Message], settings: UploadSettings) -> Iterator[FilePart]:
    for number, message in enumerate(messages):
        content = message.get("content")
        if message["role"] not in _ROLES or isinstance(content, str) or not isinstance(content, Sequence):
            continue
        for place, part in enumerate(content):
            if (said := _said(part, _where(number, place))) is None:
                continue
            given, name, declared, bare = said
            if (found := _read(given, _where(number, place), settings, bare=bare)) is not None:
                kind, data, url = found
                yield FilePart(number, place, name, kind or declared, data, url)


def _said(part: object, where: str) -> tuple[str, str, str, bool] | None:
    """Return what a part says of a file: content or address, name, type, and whether base64 may stand alone."""
    if not isinstance(part, Mapping):
        return None
    if part.get("type") in {"image_url", "input_image"}:
        image = part.get("image_url")
        image = image if isinstance(image, Mapping) else {"url": image}
        return _string(image, "url"), "", _string(image, "format"), False
    if part.get("type") in {"file", "input_file"}:
        held = part.get("file")
        file: Mapping[str, Any] = held if isinstance(held, Mapping) else part
        address = _string(file, "file_id") or _string(file, "file_url")  # a bridge of LiteLLM's calls the one the other
        if not _string(file, "file_data") and not _is_address(address):
            raise _refused(where, "this proxy keeps no files, send the file itself in file_data")
        return _string(file, "file_data") or address, _string(file, "filename"), _string(file, "format"), True
    return None


def _read(given: str, where: str, settings: UploadSettings, *, bare: bool) -> tuple[str, bytes, str] | None:
    """Return type, bytes and address; None for an address that is not to be fetched, and stays a placeholder."""
    if _is_address(given):
        if not settings.fetch_urls:
            return None
        if not given.startswith("https://"):
            raise _refused(where, "only https addresses are fetched")
        return "", b"", given
    uri = _DATA_URI.match(given, 0, LONGEST_HEAD)
    if uri is not None and uri[3]:
        return uri[1] or "", _decoded(given[uri.end() :], where, settings.max_bytes), ""
    if bare and not given.startswith("data:"):
        return "", _decoded(given, where, settings.max_bytes), ""
    raise _refused(where, "it must be a data URI with base64: data:image/png;base64,…")


def _decoded(text: str, where: str, most: int) -> bytes:
    if len(text) > 1.4 * most + 100:  # four characters for three bytes, and perhaps line breaks
        raise file_too_large(where, most)
    try:
        data = base64.b64decode(text.encode("ascii").translate(None, b" \t\r\n"), validate=True)
    except (binascii.Error, ValueError):
        raise _refused(where, "its base64 cannot be decoded, write it with +, / and the = at its end") from None
    if not data:
        raise _refused(where, "the file is empty")
    if len(data) > most:
        raise file_too_large(where, most)
    return data


def name_files(found: Sequence[FilePart], most: int) -> tuple[File, ...]:
    """Name the file of each enclosure, by its own name or by its kind and number; the same file twice is one file.

    Raises RequestError for a type that is not taken, and for more than `most` files.
    """
    known: dict[tuple[str, bytes], File] = {}
    names: set[str] = set()
    made = []
    for enclosure in found:
        same = enclosure.name, hashlib.sha256(enclosure.data).digest()
        if same not in known:
            kind = _kind(enclosure)
            name = _unique(enclosure.name, kind, names)
            digest = hashlib.sha256(f"{name}\0{kind.content_type}\0".encode() + same[1]).hexdigest()
            known[same] = File(enclosure.where, name, kind.content_type, enclosure.data, digest)
        made.append(known[same])
        if len(known) > most:
            raise _too_many(enclosure.where, most)
    return tuple(made)


def _kind(enclosure: FilePart) -> FileType:
    """Tell what a file is by how it begins, an office file by what the client says, and anything else as text or not at all."""
    kind = _signed(enclosure.data) or _office(enclosure) or _text(enclosure)
    if kind is None:
        raise _refused(enclosure.where, f"the file is of no type that can be uploaded: {KNOWN}")
    return kind


def _signed(data: bytes) -> FileType | None:
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _WEBP
    return next((kind for begin, kind in _SIGNED if data.startswith(begin)), None)


def _office(enclosure: FilePart) -> FileType | None:
    kinds = (kind for begin, kinds in _OFFICE.items() if enclosure.data.startswith(begin) for kind in kinds)
    declared, name = enclosure.declared.lower(), (enclosure.name or re.split("[?#]", enclosure.url)[0]).lower()
    return next((kind for kind in kinds if declared == kind.content_type or name.endswith(f".{kind.extension}")), None)


def _text(enclosure: FilePart) -> FileType | None:
    declared = enclosure.declared.lower()
    if declared.startswith(_NO_TEXT) or enclosure.data.startswith(tuple(_OFFICE)) or not _is_text(enclosure.data):
        return None
    content_type = declared if declared.startswith("text/") or declared in _TEXTS else "text/plain"
    return FileType(content_type, _TEXTS.get(content_type, "txt"))


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _unique(given: str, kind: FileType, names: set[str]) -> str:
    """Make a file's name fit to stand in a prompt and a header, and unlike all others."""
    bare = _UNFIT.sub("_", re.split(r"[/\\]", given)[-1]).strip(" .")
    stem, dot, extension = "".join(filter(str.isprintable, bare)).rpartition(".")
    if not dot or not stem:
        stem, extension = stem or extension, kind.extension
    stem, extension = stem[:LONGEST_NAME], extension[:10]
    number = 1
    name = f"{stem}.{extension}" if stem else f"{kind.stem}-{number}.{extension}"
    while name in names:
        number += 1
        name = f"{stem or kind.stem}-{number}.{extension}"
    names.add(name)
    return name


def with_placeholders(
    messages: Sequence[Message], found: Sequence[FilePart], files: Sequence[File]
) -> Sequence[Message]:
    """Return the messages with a line of text in the place of each file, which names it."""
    names = {(enclosure.message, enclosure.part): file for enclosure, file in zip(found, files, strict=True)}
    concerned = {message for message, _ in names}
    return [
        {
            **message,
            "content": [
                _placeholder(names[number, place]) if (number, place) in names else part
                for place, part in enumerate(message["content"])
            ],
        }
        if number in concerned
        else message
        for number, message in enumerate(messages)
    ]


def _placeholder(file: File) -> Mapping[str, str]:
    kind = "image" if file.content_type.startswith("image/") else "file"
    return {"type": "text", "text": f"[{kind} {file.name}: attached]"}


def file_too_large(where: str, most: int) -> RequestError:
    """Tell that a file has more than `most` bytes."""
    return _refused(where, f"the file has more than {most} bytes, send a smaller one (STACKSPOT_UPLOAD_BYTES)")


def too_much(where: str, most: int) -> RequestError:
    """Tell that what is fetched for a request has more than `most` bytes in all."""
    return _refused(where, f"the files of its addresses have more than {most} bytes together, leave some out")


def _too_many(where: str, most: int) -> RequestError:
    """Tell that a conversation holds more than `most` files."""
    return _refused(where, f"the conversation holds more than {most} files, leave some out (STACKSPOT_UPLOAD_FILES)")


def _refused(where: str, message: str) -> RequestError:
    return RequestError(f"{where}: {message}.", param=where)


def _where(message: int, part: int) -> str:
    return f"messages[{message}].content[{part}]"


def _string(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _is_address(given: str) -> bool:
    return given.startswith(("https://", "http://"))
