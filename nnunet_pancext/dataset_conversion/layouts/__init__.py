"""The layouts of downloads."""
