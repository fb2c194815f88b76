"""Who may call what, and how often: API keys, their rates and the rules of access."""
