"""The families: each an ordering, a network that respects it, and its two faces."""
