"""Keeps secrets and personal data out of texts, and files that hold them readable by their owner only."""
