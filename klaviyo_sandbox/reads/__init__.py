"""Answers to GET requests: collections, related resources, pages."""
