"""The torture: four people chat while parts are killed, stopped, cut off and lied to (``python -m torture``)."""
