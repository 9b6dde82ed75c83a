"""Command-line programs: thin, and the only place where flags are read."""
