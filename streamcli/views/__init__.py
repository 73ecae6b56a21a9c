"""Pure folds of messages into what a person sees."""
