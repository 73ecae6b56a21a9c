"""Value types: messages, names, addresses, keys. Pure. Only ``message`` imports pydantic directly."""
