"""The file formats that examples are read from and written to."""
