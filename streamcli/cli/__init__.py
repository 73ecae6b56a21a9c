"""The command line: what stands behind each ``streamcli …``, one module a command."""
