"""Accounts of any size: rows are computed when they are asked for."""
