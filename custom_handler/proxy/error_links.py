"""Adds the address of its entry on the errors page to the message of a documented error.

The entries are the rows of docs/errors.md, so an error without a row gets no address.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from urllib.parse import quote

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).resolve().parents[1]
_PAGES = (_PACKAGE / "templates" / "errors.md", _PACKAGE.parent / "docs" / "errors.md")
_HEADING = re.compile(r"## (.+)")
_ROW = re.compile(r"\| `([^|]+)` \| \d{3}")


class ErrorLinks:
    """The addresses of the entries of a page, which is published at `address`.

    >>> page = "## The proxy\\n| `is nested` | 400 | Flatten it |"
    >>> ErrorLinks("https://docs.example/errors/", page).address_of("The request is nested.")
    'https://docs.example/errors/#the-proxy:~:text=is%20nested'
    """

    def __init__(self, address: str, page: str) -> None:
        self._address = address.rstrip("#")
        self._sections: dict[str, str] = {}  # by the text of an entry
        section = ""
        for line in page.splitlines():
            if heading := _HEADING.match(line):
                section = re.sub(r"[^\w-]", "", heading[1].lower().replace(" ", "-"))
            elif row := _ROW.match(line):
                self._sections[row[1]] = section

    def address_of(self, message: str) -> str | None:
        """Return the address of the entry for a message, None without one.

        Browsers scroll to the text (https://wicg.github.io/scroll-to-text-fragment/), older ones to
        the section.
        """
        text = max((text for text in self._sections if text in message), key=len, default=None)
        if text is None:
            return None
        fragment = quote(text, safe="").replace("-", "%2D")  # a hyphen has a meaning there
        return f"{self._address}#{self._sections[text]}:~:text={fragment}"

    def add(self, body: bytes) -> bytes:
        """Return the body of an error with the address in its message, in any protocol's form."""
        try:
            content = json.loads(body)
        except ValueError:
            return body
        match content:
            case {"error": {"message": str(message)} as error}:
                address = self.address_of(message)
            case _:
                return body
        if address is None or address in message:  # a service has the error of the call that it made
            return body
        error["message"] = f"{message}\nSee {address}"
        return json.dumps(content, ensure_ascii=False).encode()


def open_error_links(address: str) -> ErrorLinks | None:
    """Return the links to the errors page, None if no address of it is configured."""
    if not address:
        return None
    page = next((file for file in _PAGES if file.is_file()), None)
    if page is None:
        logger.warning("STACKSPOT_ERRORS_URL has no effect: this installation lacks %s", _PAGES[0])
        return None
    return ErrorLinks(address, page.read_text(encoding="utf-8"))
