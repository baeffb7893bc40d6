"""One account: its rows, its clock of jobs, and how it is made and kept."""
