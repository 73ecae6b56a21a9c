"""A guest's log: the connection to somebody else's gate, in place of workers."""
