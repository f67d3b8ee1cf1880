"""Gives a proxy without a master key one of its own, because LiteLLM refuses to start without."""

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
    """Fill in a master key that is missing: that of the environment, or one that is generated and kept in `.env`.

    `folder` is that of config.yaml, and `written` is the key or the reference that it has: LiteLLM resolved the reference
    before this package could load `.env`. Where `.env` cannot be written nothing changes, and LiteLLM refuses to start.
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
