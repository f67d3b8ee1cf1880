"""The crash that the plugin prevents by removing a finalizer of LiteLLM's."""

from __future__ import annotations

import signal
import sys

import pytest

from benchmarks.crash import run_script


@pytest.mark.slow
def test_a_finalizer_that_sets_no_context_variable_crashes_nothing():
    assert run_script(guarded=True) == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on the garbage collector runs between instructions")
def test_a_finalizer_that_sets_a_context_variable_crashes_the_interpreter():
    assert run_script(guarded=False) == -signal.SIGSEGV
