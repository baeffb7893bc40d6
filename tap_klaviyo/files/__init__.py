"""Files of rows, which BATCH messages announce in place of RECORD messages."""
