"""One account: its rows and relationships, its jobs, how it is built, and how it is saved."""
