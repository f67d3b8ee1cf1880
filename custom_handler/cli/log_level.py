"""Keeps what a command prints its own."""

from __future__ import annotations

import logging
import os


def alone() -> None:
    """Have LiteLLM take its price list from its package, not from the network, and the log tell warnings only, unless asked.

    To be called before LiteLLM is imported, which reads the environment then.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    if not os.environ.keys() & {"LOG_LEVEL", "STACKSPOT_LOG_LEVEL"}:
        logging.getLogger("custom_handler").setLevel(logging.WARNING)
