"""Uploads files for an agent, each once; the agent request names them by id.

    cached? ──no──▶ upload form (with the token) ──▶ POST to the storage (without) ──▶ id, cached
       │ yes             │ 401, the first time: another token
       ▼                 └ a temporary failure of either: again from the form, while there is time
     the request with its upload_ids ──▶ UploadUnknown: upload all again, and repeat the request

A client sends the whole conversation, with its files, in every request. Uploads need no slot of the
queue: the platform limits requests to agents only (contract, sections 5 and 6).
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import field, replace
from typing import Any, TypeVar

from ..data_class import data_class
from ..errors import AgentRejected, StackspotError, TokenRefused, UploadFailed, UploadForbidden, UploadUnknown
from ..instrumentation import Hook, no_hook
from ..request.files import File, FilePart, file_too_large, files_too_large
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
    read_nothing,
    with_retries,
)
from .agent_errors import Refusal, retry_after, with_quote
from .deadline import Deadline
from .json_body import decode_json
from .private import Private
from .tokens import Token

UPLOAD_TIMEOUT = 120.0
FETCH_TIMEOUT = 30.0
MAX_FETCHED_BYTES = 32 * 1024 * 1024  # of all URLs together, as a request body may have
CACHED_SHARE = 0.9  # of the requested expiration
MAX_FORM_BYTES = 64 * 1024

_SERVICE = Host("file service", "STACKSPOT_FILES_URL")
_STORAGE = Host("file storage", "whether its host is let through")
_TEMPORARY = frozenset({403, 408, 429})  # of the storage: 403 where a form has expired
# In the XML of the storage's errors.
_STORAGE_MESSAGE = re.compile(r"<Message>([^<]{1,2000})</Message>")

logger = logging.getLogger(__name__)


class UploadCache:
    """Upload ids by account and file, at most `max_size`; thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_size: int = 10_000) -> None:
        self._clock = clock
        self._max_size = max_size
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Drop all uploads in a child process: a thread of the parent may hold the lock."""
        self._lock = threading.Lock()
        self._uploads: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()

    def get(self, account: str, file: File) -> str | None:
        """Return the id of an uploaded file that has not expired, else None."""
        with self._lock:
            upload_id, expires = self._uploads.get((account, file.digest), (None, 0.0))
            return upload_id if self._clock() < expires else None

    def put(self, account: str, file: File, upload_id: str, seconds: float) -> None:
        """Store an upload for `seconds`."""
        with self._lock:
            self._uploads.pop((account, file.digest), None)
            self._uploads[account, file.digest] = upload_id, self._clock() + seconds
            while len(self._uploads) > self._max_size:
                self._uploads.popitem(last=False)

    def discard(self, upload_ids: Iterable[str]) -> None:
        """Drop uploads that the agent does not know."""
        unknown = set(upload_ids)
        with self._lock:
            for key in [key for key, (upload_id, _) in self._uploads.items() if upload_id in unknown]:
                del self._uploads[key]


Result = TypeVar("Result")


@data_class
class TurnFiles:
    """The files of a turn, and the cache of uploads."""

    files: Sequence[File]
    cache: UploadCache


@data_class
class _UploadForm:
    """The form of one upload: the storage's URL, the fields to send, and the id of the upload."""

    upload_id: str
    url: str
    fields: dict[str, str] = field(repr=False)


def fetch_files(
    parts: Sequence[FilePart], settings: UploadSettings, deadline: Deadline
) -> Generator[Step[Any], Any, list[FilePart]]:
    """Return the parts with the data of those that have a URL, each URL fetched once.

    Raises RequestError.
    """
    contents: dict[str, bytes] = {}
    left = limit = max(MAX_FETCHED_BYTES, settings.max_bytes)
    for part in parts:
        if part.url and part.url not in contents:
            timeout = min(FETCH_TIMEOUT, deadline.silence_timeout(text_received=True))
            contents[part.url] = yield FetchPublicFile(part.url, part.where, settings.max_bytes, timeout)
            left -= len(contents[part.url])
            if left < 0:
                raise files_too_large(part.where, limit)
    return [replace(part, data=contents[part.url]) if part.url else part for part in parts]


def open_stream_with_files(
    call: AgentCall,
    attached: TurnFiles,
    settings: Settings,
    deadline: Deadline,
    hook: Hook = no_hook,
    *,
    read_start: Callable[[], Generator[Step[Any], Any, None]] = read_nothing,
) -> Generator[Step[Any], Any, None]:
    """Send the call with these files attached, see `open_stream`."""

    def send(upload_ids: tuple[str, ...]) -> Generator[Step[Any], Any, None]:
        return open_stream(replace(call, upload_ids=upload_ids), settings, deadline, hook, read_start=read_start)

    yield from with_files(send, attached, settings, deadline, hook)


def with_files(
    send: Callable[[tuple[str, ...]], Generator[Step[Any], Any, Result]],
    attached: TurnFiles,
    settings: Settings,
    deadline: Deadline,
    hook: Hook = no_hook,
) -> Generator[Step[Any], Any, Result]:
    """Call `send` with the upload ids of these files, and once more if one is not known."""
    upload_ids = yield from _upload_all(attached, settings, deadline, hook)
    try:
        return (yield from send(upload_ids))
    except UploadUnknown:
        attached.cache.discard(upload_ids)
        return (yield from send((yield from _upload_all(attached, settings, deadline, hook))))


def _upload_all(
    attached: TurnFiles, settings: Settings, deadline: Deadline, hook: Hook
) -> Generator[Step[Any], Any, tuple[str, ...]]:
    """Return the upload ids of the files, in their order; upload those that are not cached."""
    if not attached.files:
        return ()
    cache, upload_ids = attached.cache, []
    token: Token = yield AcquireToken(timeout=deadline.silence_timeout(text_received=True))
    for file in {file.digest: file for file in attached.files}.values():
        if (upload_id := cache.get(token.account, file)) is None:
            deadline.check(text_received=True)
            upload_id = yield from _upload(file, settings, deadline, hook)
            cache.put(token.account, file, upload_id, CACHED_SHARE * settings.uploads.expiration)
        upload_ids.append(upload_id)
    return tuple(upload_ids)


def _upload(file: File, settings: Settings, deadline: Deadline, hook: Hook) -> Generator[Step[Any], Any, str]:
    """Upload one file with retries, and return its upload id."""
    return with_retries(lambda _: _attempt(file, settings, deadline), settings, deadline, hook, text_received=True)


def _attempt(file: File, settings: Settings, deadline: Deadline) -> Generator[Step[Any], Any, str]:
    started = deadline.elapsed()
    upload_form = yield from _request_form(file, settings, deadline)
    form = MultipartForm(upload_form.fields, file.name, file.content_type, file.data)
    head: ResponseHead = yield Send(upload_form.url, {}, form, _timeout(deadline), _STORAGE)
    if head.status not in {200, 201, 204}:
        found = _STORAGE_MESSAGE.search(head.body.decode(errors="replace"))
        raise with_quote(_storage_error(head, file, settings), found[1] if found else "", _private(file, settings))
    logger.info("Uploaded %s of %d bytes in %.3f s", file.content_type, len(file.data), deadline.elapsed() - started)
    return upload_form.upload_id


def _request_form(file: File, settings: Settings, deadline: Deadline) -> Generator[Step[Any], Any, _UploadForm]:
    """Request the upload form of a file; a 401 is retried once with another token."""
    token = yield AcquireToken(timeout=deadline.silence_timeout(text_received=True))
    head: ResponseHead = yield _form_request(file, settings, token, _timeout(deadline))
    if head.status == 401:
        token = yield AcquireToken(token, deadline.silence_timeout(text_received=True))
        head = yield _form_request(file, settings, token, _timeout(deadline))
    if head.status not in {200, 201}:
        said = Refusal.read(head.body.decode(errors="replace")).details
        raise with_quote(_form_error(head, file), said, _private(file, settings))
    body = head.body
    while head.status == 200 and len(body) < MAX_FORM_BYTES and (chunk := (yield Read(_timeout(deadline)))):
        body += chunk
    return _read_form(body, secure=settings.account.files_url.startswith("https://"))


def _form_request(file: File, settings: Settings, token: Token, timeout: float) -> Send:
    fields = {"file_name": file.name, "target_type": "CONTEXT", "expiration": settings.uploads.expiration}
    headers = {"authorization": f"Bearer {token.value}", "content-type": "application/json"}
    content = json.dumps(fields, ensure_ascii=False).encode("utf-8", errors="replace")
    return Send(f"{settings.account.files_url}/v2/file-upload/form", headers, content, timeout, _SERVICE)


def _timeout(deadline: Deadline) -> float:
    return max(0.001, min(UPLOAD_TIMEOUT, deadline.left(text_received=True)))


def _read_form(body: bytes, *, secure: bool) -> _UploadForm:
    """Read an upload form; raises UploadFailed, if `secure` also for a URL without https."""
    schemes = ("https://",) if secure else ("https://", "http://")
    try:
        match decode_json(body):
            case {"id": str(upload_id), "url": str(url), "form": dict(form)} if url.startswith(schemes):
                return _UploadForm(upload_id, url, {str(name): str(value) for name, value in form.items()})
    except ValueError:
        pass
    error = UploadFailed("The file service gave no permission that can be read: check STACKSPOT_FILES_URL.")
    error.retryable = False
    raise error


def _form_error(head: ResponseHead, file: File) -> StackspotError:
    if head.status == 401:
        return TokenRefused("The file service refuses a fresh token: the account may lack it, STACKSPOT_UPLOADS=false.")
    if head.status == 403:
        return UploadForbidden(
            "This StackSpot account may not upload files, which enterprise accounts may (HTTP 403): "
            "send text, or have the operator set STACKSPOT_UPLOADS=false."
        )
    if head.status < 500 and head.status not in {408, 429}:
        return AgentRejected(f"{file.where}: the file service refuses this file with HTTP {head.status}.")
    return _upload_failed("file service", head, retryable=True)


def _private(file: File, settings: Settings) -> Private:
    return Private((*Private.of(settings.account).values, file.name))


def _storage_error(head: ResponseHead, file: File, settings: Settings) -> StackspotError:
    if head.status == 413 or b"EntityTooLarge" in head.body:
        return file_too_large(file.where, min(len(file.data) - 1, settings.uploads.max_bytes))
    return _upload_failed("file storage", head, retryable=head.status >= 500 or head.status in _TEMPORARY)


def _upload_failed(host: str, head: ResponseHead, *, retryable: bool) -> UploadFailed:
    status = 429 if head.status == 429 else 502
    action = "try again" if retryable else "check STACKSPOT_FILES_URL"
    message = f"The {host} failed with HTTP {head.status}: {action}."
    error = UploadFailed(message, status_code=status, retry_after=retry_after(head.headers))
    error.retryable = retryable
    return error
