"""The log: what the rest of the program knows of it, and the workers that speak to the server."""
