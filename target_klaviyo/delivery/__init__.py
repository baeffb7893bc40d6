"""How rows are sent: in batches, in order for each person, with one outcome for each row."""
