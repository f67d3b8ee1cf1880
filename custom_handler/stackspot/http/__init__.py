"""HTTP clients for the Agent API and for public files."""
