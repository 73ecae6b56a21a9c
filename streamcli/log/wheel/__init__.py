"""The adapter for the package ``pravega``, the only place that knows it: three worker programs and what speaks to them.

The client holds the interpreter's lock through every outage and deadlocks with a reader and a writer in one process
(docs/decisions/0001-process-isolation.md), so each runs in a process of its own and is spoken to in frames.
"""
