"""Makes `python -m custom_handler` the command line."""

from .cli import main

main(prog_name="python -m custom_handler")
