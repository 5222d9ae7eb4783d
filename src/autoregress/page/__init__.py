"""Models as pages in a browser: served by this machine, or whole in one file."""
