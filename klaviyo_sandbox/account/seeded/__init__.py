"""Generators of the small account, one module for each resource."""
