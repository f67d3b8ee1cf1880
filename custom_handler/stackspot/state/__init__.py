"""State that calls share: in this process, or in Redis for several processes."""
