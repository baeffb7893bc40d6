"""What the command lines of both plugins share: settings, exit codes, progress."""
