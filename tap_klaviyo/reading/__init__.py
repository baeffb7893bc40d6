"""Which pages to request, in which order, and how they reach the tables."""
