"""Reads collections: which pages to request, in which order, and the batches of rows that they give."""
