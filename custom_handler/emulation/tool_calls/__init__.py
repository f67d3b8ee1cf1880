"""Parsing of tool calls in an agent's text."""
