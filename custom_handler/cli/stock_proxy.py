"""The command `litellm`, as `run` starts it: `python -m custom_handler.cli.stock_proxy --config config.yaml`.

LiteLLM imports some 4,000 modules; without the garbage collector, which finds nothing to collect in them, that takes a fifth less.
"""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Load LiteLLM, and go on as its own command."""
    gc.disable()
    import litellm.proxy.proxy_server  # noqa: F401, PLC0415  the point is to import it now
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
