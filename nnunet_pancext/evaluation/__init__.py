"""Comparing predicted label maps with true ones."""
