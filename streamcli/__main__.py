"""``python -m streamcli``: the same as the command ``streamcli``."""

from streamcli.cli import main

main()
