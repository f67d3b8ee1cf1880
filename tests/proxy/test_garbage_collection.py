"""The finalizer of LiteLLM's streams crashes the interpreter during garbage collection."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.crash import run_script

# The garbage collector runs at each of the first allocations within `ContextVar.set`, with one stream to collect, whose
# client left: the context still has the stream's ids, which the finalizer takes back.
SCRIPT = """
import contextvars, gc, sys
from litellm._logging import session_id_var, trace_id_var
from litellm.litellm_core_utils.litellm_logging import Logging
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from custom_handler.proxy.garbage_collection import remove_stream_finalizers
if sys.argv[1:] == ["guarded"]:
    remove_stream_finalizers()
call = Logging.__new__(Logging)
call._own_trace_id, call._own_session_id, call._pre_call_trace_id, call._pre_call_session_id = "t", "s", "", ""
variables = [contextvars.ContextVar(str(number)) for number in range(200)]
for variable in variables:
    variable.set(0)
gc.disable(); gc.collect(); gc.freeze()
for threshold in range(1, 12):
    for variable in variables:
        gc.collect(0)
        trace_id_var.set("t"); session_id_var.set("s")
        stream = CustomStreamWrapper.__new__(CustomStreamWrapper)
        stream.logging_obj, stream.itself = call, stream
        del stream
        gc.set_threshold(threshold); gc.enable()
        variable.set(object())
        gc.disable()
print("survived")
"""


def run(*args: str) -> subprocess.CompletedProcess[str]:
    # The debug allocator overwrites freed memory, so that its use is detected.
    environ = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONMALLOC": "debug"}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *args], env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_streams_without_finalizer_do_not_crash_the_interpreter():
    ended = run("guarded")
    assert (ended.returncode, ended.stdout) == (0, "survived\n"), ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on the garbage collector runs between instructions")
def test_litellms_finalizer_still_crashes_the_interpreter():
    """Once this fails, `remove_stream_finalizers` can be deleted.

    Where memory lies decides whether one run crashes.
    """
    if run_script(guarded=False) == 0:
        pytest.skip("this build of Python has the fault corrected")
    assert any(run().returncode for _ in range(10)), "it survived ten times"
