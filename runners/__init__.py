"""Command-line programs: a thin layer over the library, and the only place where flags are read."""
