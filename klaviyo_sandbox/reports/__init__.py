"""Answers to the report endpoints and to queries of metric aggregates."""
