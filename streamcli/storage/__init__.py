"""What this machine keeps: of a log a view that can be rebuilt, of what was typed an outbox that can't."""
