"""Generate a master key for a proxy that has none, because LiteLLM does not start without one."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from ..env_file import ensure_value, new_master_key
from .config import resolved

logger = logging.getLogger(__name__)

NAME = "LITELLM_MASTER_KEY"


def ensure_master_key(general_settings: dict[str, Any], folder: Path, written: object) -> None:
    """Set a missing `master_key`, from the environment or generated and written to `.env`.

    `folder` is the one of config.yaml, and `written` is its key or reference: LiteLLM resolved the
    reference before this package loaded `.env`. If `.env` cannot be written, nothing changes, and
    LiteLLM does not start.
    """
    if configured := resolved(general_settings.get("master_key")) or resolved(written):
        general_settings["master_key"] = configured
        return
    if not (key := (os.environ.get(NAME) or "").strip()):
        file = folder / ".env"
        try:
            key, written = ensure_value(file, NAME, new_master_key)
        except (OSError, TimeoutError) as error:
            logger.warning("%s is not set, and %s cannot be written (%s)", NAME, file, type(error).__name__)
            return
        if written:
            logger.info("Wrote a new %s to %s: clients of this proxy send it as their API key", NAME, file)
        os.environ[NAME] = key
    general_settings["master_key"] = key
