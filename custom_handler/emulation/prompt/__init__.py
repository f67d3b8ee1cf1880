"""Rendering of a chat request as one prompt."""
