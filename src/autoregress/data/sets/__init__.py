"""Data sets that come with a package, are generated, or are published."""
