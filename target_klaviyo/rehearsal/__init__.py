"""The dry run: what would be sent, without sending it."""
