"""The log through Pravega's Java client: a host process with one JVM, a thread in it for each worker."""
