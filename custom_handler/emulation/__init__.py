"""Emulation of roles, tools, JSON output and limits for an agent that has text only; no I/O."""
