"""From a page to the rows, and the lines, of every table that it feeds."""
