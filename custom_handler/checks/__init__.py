"""Checks of settings and models, at startup and by `python -m custom_handler check`."""
