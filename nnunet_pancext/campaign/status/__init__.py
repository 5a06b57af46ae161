"""`pancext campaign status`: where each step is, as a table and as a page."""
