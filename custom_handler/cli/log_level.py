"""Limit what LiteLLM and the log add to the output of a command."""

from __future__ import annotations

import logging
import os


def quiet_litellm() -> None:
    """Log warnings only, unless LOG_LEVEL is set, and read LiteLLM's price list from its package.

    Call this before LiteLLM is imported: it reads the environment then.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    if not os.environ.keys() & {"LOG_LEVEL", "STACKSPOT_LOG_LEVEL"}:
        logging.getLogger("custom_handler").setLevel(logging.WARNING)
