"""Values: messages, names, addresses, keys. Pure; only ``message`` loads pydantic."""
