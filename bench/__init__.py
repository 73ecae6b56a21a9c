"""The bench: what streamcli costs, measured beside the raw client on a server of its own (``python -m bench``)."""
