"""A real Pravega cluster on this machine, each part a process of its own: to try streamcli on, and to break."""
