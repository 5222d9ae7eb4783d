"""Sets of examples that come with a package, are made by a program, or are published."""
