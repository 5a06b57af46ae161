"""The frame, tables and text that HTML pages share."""
