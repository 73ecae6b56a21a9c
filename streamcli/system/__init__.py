"""The operating system: folders, private files, locks, standard files, signals, the log file. Knows no chat."""
