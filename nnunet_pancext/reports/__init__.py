"""Showing scores and segmentations: console table, overlay pictures, one HTML page."""
