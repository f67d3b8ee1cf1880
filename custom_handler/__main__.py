"""Run the command line: `python -m custom_handler`."""

from .cli import main

main(prog_name="python -m custom_handler")
