"""The embedded server of another machine of one's own, over the system's ssh."""
