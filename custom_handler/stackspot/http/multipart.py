"""Encodes the body of a request."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from ..agent_call import MultipartForm, Send


def encode_body(step: Send) -> tuple[Mapping[str, str], bytes]:
    """Return the headers and the body of a request; a form becomes multipart/form-data."""
    form = step.content
    if not isinstance(form, MultipartForm):
        return step.headers, form
    file = form.file_name, form.data, form.content_type
    request = httpx.Request("POST", step.url, data=dict(form.fields), files={"file": file})
    return {**step.headers, "content-type": request.headers["content-type"]}, request.read()
