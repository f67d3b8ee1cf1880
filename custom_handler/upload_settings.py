"""The settings of uploads; `settings` joins them to the others."""

from __future__ import annotations

from .data_class import data_class
from .setting_fields import setting


@data_class
class UploadSettings:
    """Uploads of the files of a request; sizes are in bytes, times in seconds."""

    enabled: bool = setting(
        "STACKSPOT_UPLOADS",
        False,
        "upload images and files of a request (enterprise accounts only); if off, the agent sees their names only",
    )
    max_bytes: int = setting("STACKSPOT_UPLOAD_BYTES", 10_000_000, "the largest file, in bytes", least=1)
    max_files: int = setting(
        "STACKSPOT_UPLOAD_FILES", 20, "most files of a conversation; equal files count once", least=1
    )
    expiration: int = setting(
        "STACKSPOT_UPLOAD_EXPIRATION",
        600,
        "the `expiration` of an upload, in seconds; for a little less, the same file is not uploaded again",
        least=1,
    )
    fetch_urls: bool = setting(
        "STACKSPOT_UPLOAD_URLS",
        False,
        "fetch and upload files that a request names by an https address; never from private networks, nor through a proxy",
    )
