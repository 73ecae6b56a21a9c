"""The adapter for Pravega's Java client, through JPype: a host process with one JVM, and its parent's side."""
