"""The results of a run: counts, the rejects file, the run report, progress."""
