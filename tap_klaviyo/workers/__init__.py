"""Worker processes, which make lines of pages beside the process that reads."""
