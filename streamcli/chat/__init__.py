"""One person in the chat: what is typed goes to the log, and what the log brings is shown."""
