"""The gate: lets invited people on other machines into the chat on this one, over one TLS port."""
