"""Metrics of predicted label maps against the ground truth."""
