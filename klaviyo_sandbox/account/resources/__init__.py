"""Families of resources that nobody writes through the API, with the reads of each."""
