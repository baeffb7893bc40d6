"""A file or a query becomes an audience: rows become Singer lines, and the target runs on them."""
