"""The adapter for the package ``pravega``, which nothing else uses: three worker programs and their parent's side.

The client holds the interpreter's lock through every outage and deadlocks with a reader and a writer in one process
(docs/decisions/0001-process-isolation.md), so each runs in its own process and communicates in frames.
"""
