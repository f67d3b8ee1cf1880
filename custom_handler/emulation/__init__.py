"""What a text-only agent lacks and a client expects: roles, tools and tool calls, made of plain text; no I/O here."""
