"""Keeps the garbage collector from stopping the proxy, and from crashing it."""

from __future__ import annotations

import gc

from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper


def freeze_startup_objects() -> None:
    """Take what the start has made out of the garbage collector's sight, for good.

    It is some 700,000 objects, and to look through them takes a third of a second, in which the proxy serves nobody.
    """
    gc.collect()
    gc.freeze()


def remove_stream_finalizers() -> None:
    """Take from LiteLLM's streams, whoever their provider is, the finalizer that sets context variables.

    The garbage collector may call it while another context variable is being set, and then the interpreter crashes, with all that
    the proxy serves (CPython issue 148891). What is lost are LiteLLM's ids in its own log lines behind a stream that was dropped.
    """
    if "__del__" in vars(CustomStreamWrapper):
        del CustomStreamWrapper.__del__
