"""Mirrored lists: was the whole audience seen, and who is to be removed."""
