"""The kinds of files that examples are read from and written to."""
