"""The command `litellm`, as `run` starts it: `python -m custom_handler.cli.stock_proxy …`.

LiteLLM imports about 4,000 modules; that takes a fifth less time without the garbage collector.
"""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Import LiteLLM, then run its command."""
    gc.disable()
    import litellm.proxy.proxy_server  # noqa: F401, PLC0415  imported before the collector runs
    from litellm import run_server  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    sys.argv[0] = "litellm"
    run_server()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
