"""A page in the browser: a server on this machine, and one static page that asks it."""
