"""Files for an agent: each is uploaded once, and named by its id in the question.

    remembered? ──no──▶ permission (with the token) ──▶ form posted to the storage (without) ──▶ id, remembered
         │ yes                │ 401, the first time: another token
         ▼                    └ what may pass, at either: from the permission on again, while there is time
     the question with its upload_ids ──▶ the agent knows one of them no more: all uploaded once more, asked once more

A client sends the whole conversation with every question, and so every file again and again. Uploads take no place in the
queue: the platform counts questions (contract, sections 5 and 6).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import AgentRejected, StackspotError, TokenRefused, UploadFailed, UploadForbidden, UploadUnknown
from ..instrumentation import Hook, no_hook
from ..request.files import File, FilePart, file_too_large, too_much
from ..settings import Settings, UploadSettings
from .agent_call import (
    AcquireToken,
    AgentCall,
    FetchPublicFile,
    Host,
    MultipartForm,
    Read,
    ResponseHead,
    Send,
    Step,
    open_stream,
    with_retries,
)
from .deadline import Deadline
from .frames import retry_after
from .tokens import Token

UPLOAD_TIMEOUT = 120.0
FETCH_TIMEOUT = 30.0
FETCHED_BYTES = 32 * 1024 * 1024  # in all, as a request may have itself: an address is short, and what it names is held
REMEMBERED_SHARE = 0.9  # of the expiration that was asked for
LONGEST_PERMISSION = 64 * 1024

_SERVICE = Host("file service", "STACKSPOT_FILES_URL")
_STORAGE = Host("file storage", "whether its host is let through")
_PASSING = frozenset({403, 408, 429})  # of a storage: a form is good for a while only

logger = logging.getLogger(__name__)


class UploadCache:
    """Which file is stored under which id, for accounts and for as long as it surely is; bounded to `most` files."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = 10_000) -> None:
        self._clock = clock
        self._most = most
        self.renew()

    def renew(self) -> None:
        """Begin anew, as a fork's child must: its parent's lock may never open."""
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()

    def find(self, account: str, file: File) -> str | None:
        """Return the id under which the file is stored, if it is."""
        with self._lock:
            identifier, until = self._known.get((account, file.digest), (None, 0.0))
            return identifier if self._clock() < until else None

    def keep(self, account: str, file: File, identifier: str, seconds: float) -> None:
        """Remember an upload for so many seconds."""
        with self._lock:
            self._known.pop((account, file.digest), None)
            self._known[account, file.digest] = identifier, self._clock() + seconds
            while len(self._known) > self._most:
                self._known.popitem(last=False)

    def forget(self, identifiers: Iterable[str]) -> None:
        """Forget uploads that the agent does not know."""
        gone = set(identifiers)
        with self._lock:
            for key in [key for key, (identifier, _) in self._known.items() if identifier in gone]:
                del self._known[key]


@dataclass(frozen=True, slots=True)
class TurnFiles:
    """The files of a turn, and the memory of those that are uploaded already."""

    files: Sequence[File]
    memory: UploadCache


@dataclass(frozen=True, slots=True)
class _Permission:
    """Where a file may be posted, with which fields, and its id then."""

    identifier: str
    url: str
    fields: dict[str, str] = field(repr=False)


def fetched(
    found: Sequence[FilePart], settings: UploadSettings, deadline: Deadline
) -> Generator[Step[Any], Any, list[FilePart]]:
    """Fetch what is named by an address only, each address once; raises RequestError."""
    contents: dict[str, bytes] = {}
    room = most = max(FETCHED_BYTES, settings.max_bytes)
    for enclosure in found:
        if enclosure.url and enclosure.url not in contents:
            patience = min(FETCH_TIMEOUT, deadline.patience(spoken=True))
            contents[enclosure.url] = yield FetchPublicFile(
                enclosure.url, enclosure.where, settings.max_bytes, patience
            )
            room -= len(contents[enclosure.url])
            if room < 0:
                raise too_much(enclosure.where, most)
    return [replace(one, data=contents[one.url]) if one.url else one for one in found]


def open_stream_with_files(
    call: AgentCall, attached: TurnFiles, settings: Settings, deadline: Deadline, tell: Hook = no_hook
) -> Generator[Step[Any], Any, None]:
    """Go to the point where the answer can be read, as `open_stream` does, with these files attached to the question."""
    stored = yield from _stored(attached, settings, deadline, tell)
    try:
        yield from open_stream(replace(call, upload_ids=stored), settings, deadline, tell)
    except UploadUnknown:
        attached.memory.forget(stored)
        stored = yield from _stored(attached, settings, deadline, tell)
        yield from open_stream(replace(call, upload_ids=stored), settings, deadline, tell)


def _stored(
    attached: TurnFiles, settings: Settings, deadline: Deadline, tell: Hook
) -> Generator[Step[Any], Any, tuple[str, ...]]:
    """Return the ids of the files, in their order; those that nobody remembers are uploaded."""
    if not attached.files:
        return ()
    memory, identifiers = attached.memory, []
    token: Token = yield AcquireToken(patience=deadline.patience(spoken=True))
    for file in {file.digest: file for file in attached.files}.values():
        if (identifier := memory.find(token.account, file)) is None:
            deadline.check(spoken=True)
            identifier = yield from _upload(file, settings, deadline, tell)
            memory.keep(token.account, file, identifier, REMEMBERED_SHARE * settings.uploads.expiration)
        identifiers.append(identifier)
    return tuple(identifiers)


def _upload(file: File, settings: Settings, deadline: Deadline, tell: Hook) -> Generator[Step[Any], Any, str]:
    """Upload one file, in several attempts where that may help, and return its id."""
    return with_retries(lambda _: _attempt(file, settings, deadline), settings, deadline, tell, spoken=True)


def _attempt(file: File, settings: Settings, deadline: Deadline) -> Generator[Step[Any], Any, str]:
    started = deadline.elapsed()
    permission = yield from _permission(file, settings, deadline)
    form = MultipartForm(permission.fields, file.name, file.content_type, file.data)
    head: ResponseHead = yield Send(permission.url, {}, form, _patience(deadline), _STORAGE)
    if head.status not in {200, 201, 204}:
        raise _not_stored(head, file, settings)
    logger.info("Uploaded %s of %d bytes in %.3f s", file.content_type, len(file.data), deadline.elapsed() - started)
    return permission.identifier


def _permission(file: File, settings: Settings, deadline: Deadline) -> Generator[Step[Any], Any, _Permission]:
    """Ask where the file may be posted, once more with another token where the first one is refused."""
    token = yield AcquireToken(patience=deadline.patience(spoken=True))
    head: ResponseHead = yield _wanted(file, settings, token, _patience(deadline))
    if head.status == 401:
        token = yield AcquireToken(token, deadline.patience(spoken=True))
        head = yield _wanted(file, settings, token, _patience(deadline))
    if head.status not in {200, 201}:
        raise _not_permitted(head, file)
    body = head.body
    while head.status == 200 and len(body) < LONGEST_PERMISSION and (chunk := (yield Read(_patience(deadline)))):
        body += chunk
    return _read_permission(body, secure=settings.account.files_url.startswith("https://"))


def _wanted(file: File, settings: Settings, token: Token, timeout: float) -> Send:
    wanted = {"file_name": file.name, "target_type": "CONTEXT", "expiration": settings.uploads.expiration}
    headers = {"authorization": f"Bearer {token.value}", "content-type": "application/json"}
    content = json.dumps(wanted, ensure_ascii=False).encode("utf-8", errors="replace")
    return Send(f"{settings.account.files_url}/v2/file-upload/form", headers, content, timeout, _SERVICE)


def _patience(deadline: Deadline) -> float:
    return max(0.001, min(UPLOAD_TIMEOUT, deadline.left(spoken=True)))


def _read_permission(body: bytes, *, secure: bool) -> _Permission:
    """Read a permission; raises UploadFailed for what is none, and for a storage that is not asked by https."""
    schemes = ("https://",) if secure else ("https://", "http://")
    try:
        match json.loads(body):
            case {"id": str(identifier), "url": str(url), "form": dict(form)} if url.startswith(schemes):
                return _Permission(identifier, url, {str(name): str(value) for name, value in form.items()})
    except ValueError:
        pass
    error = UploadFailed("The file service gave no permission that can be read: check STACKSPOT_FILES_URL.")
    error.retryable = False
    raise error


def _not_permitted(head: ResponseHead, file: File) -> StackspotError:
    if head.status == 401:
        return TokenRefused("The file service refuses a fresh token: the account may lack it, STACKSPOT_UPLOADS=false.")
    if head.status == 403:
        return UploadForbidden(
            "This StackSpot account may not upload files, which enterprise accounts may (HTTP 403): "
            "send text, or have the operator set STACKSPOT_UPLOADS=false."
        )
    if head.status < 500 and head.status not in {408, 429}:
        return AgentRejected(f"{file.where}: the file service refuses this file with HTTP {head.status}.")
    return _failed("file service", head, passes=True)


def _not_stored(head: ResponseHead, file: File, settings: Settings) -> StackspotError:
    if head.status == 413 or b"EntityTooLarge" in head.body:
        return file_too_large(file.where, min(len(file.data) - 1, settings.uploads.max_bytes))
    return _failed("file storage", head, passes=head.status >= 500 or head.status in _PASSING)


def _failed(who: str, head: ResponseHead, *, passes: bool) -> UploadFailed:
    status = 429 if head.status == 429 else 502
    said = "try again" if passes else "check STACKSPOT_FILES_URL"
    wait = retry_after(head.headers)
    error = UploadFailed(f"The {who} failed with HTTP {head.status}: {said}.", status_code=status, retry_after=wait)
    error.retryable = passes
    return error
