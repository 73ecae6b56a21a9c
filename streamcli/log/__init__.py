"""The log boundary that the rest of the program uses, and the workers that talk to the server."""
