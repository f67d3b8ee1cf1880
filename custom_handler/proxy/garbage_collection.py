"""Avoid long pauses, and a crash, in Python's garbage collection of the proxy process."""

from __future__ import annotations

import gc

from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper


def freeze_startup_objects() -> None:
    """Exempt the objects that exist after startup from garbage collection.

    They are about 700,000; traversing them pauses the proxy for a third of a second.
    """
    gc.collect()
    gc.freeze()


def remove_stream_finalizers() -> None:
    """Delete the finalizer of LiteLLM's streams, of every provider, that sets context variables.

    If the garbage collector calls it while another context variable is being set, the interpreter
    crashes (CPython issue 148891). Without it, LiteLLM's own log lines after a dropped stream lack
    their ids.
    """
    if "__del__" in vars(CustomStreamWrapper):
        del CustomStreamWrapper.__del__
