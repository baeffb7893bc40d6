"""Judges the manners of the clients of an account by what arrives at it."""
