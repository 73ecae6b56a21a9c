"""Data on this machine: a projection of each log, which can be rebuilt, and the outbox, which can't."""
