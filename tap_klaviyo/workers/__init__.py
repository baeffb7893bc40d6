"""Processes that make rows of pages beside the one that reads."""
