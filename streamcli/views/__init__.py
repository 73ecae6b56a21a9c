"""Pure folds of messages into what the user sees."""
