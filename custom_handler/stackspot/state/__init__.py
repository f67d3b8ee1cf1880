"""State that calls share, in this process or, for several processes, in Redis."""
