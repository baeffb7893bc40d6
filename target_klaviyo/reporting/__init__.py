"""What a run says of itself: counts, rejected rows, the run report, progress."""
