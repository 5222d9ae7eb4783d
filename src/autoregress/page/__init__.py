"""Models as pages in a browser."""
