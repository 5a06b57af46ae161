"""Files about a comparison: tables, LaTeX, and a page with its cases and trainings."""
