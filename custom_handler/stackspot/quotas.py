"""The quotas of an account: requests to agents and to Quick Commands are counted apart."""

AGENTS, QUICK_COMMANDS = "agents", "quick_commands"
