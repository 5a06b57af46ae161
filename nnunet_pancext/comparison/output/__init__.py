"""A comparison on the console, as CSV, LaTeX and a page."""
