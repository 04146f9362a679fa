"""What is stored and what may be stored: tables, lifecycle, changesets, statements."""
