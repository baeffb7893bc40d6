"""Rehearsals: with the setting ``dry_run`` a run sends nothing, and writes a plan of what it would send."""
