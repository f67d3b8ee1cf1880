"""Measures the provider beside the proxy's own `openai` provider: `make bench`, `make bench-quick`; docs/bench.md says how to read it."""
