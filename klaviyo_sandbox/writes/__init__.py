"""Answers to requests that change the account."""
