"""Java, for the embedded server and for a client of the log: which one, the jars, and archives of their classes."""
