"""The way from a Singer message to the rows of an action: reading, checking, routing, mapping."""
