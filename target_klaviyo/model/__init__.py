"""Data that every part of the target uses: records and outcomes, identifiers, times, amounts."""
