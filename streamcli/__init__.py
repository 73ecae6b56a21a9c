"""A terminal chat whose only server is a Pravega log."""

__version__ = "0.1.0"
