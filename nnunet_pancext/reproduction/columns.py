"""Columns of several papers' tables."""

from __future__ import annotations

from nnunet_pancext.reproduction.protocol import Column


def per_slice(title: str, metric: str, label: str, *, percent: bool = False) -> Column:
    """Return a mean over the slices that contain the label."""
    return _column(title, f"per_slice.{metric}", label, percent=percent)


def per_volume(title: str, metric: str, *labels: str, percent: bool = False) -> Column:
    """Return a mean over the cases, and over several labels."""
    return _column(title, f"per_volume.{metric}.mean", *labels, percent=percent)


def _column(title: str, where: str, *labels: str, percent: bool) -> Column:
    scale, decimals = (100, 2) if percent else (1, 4)
    return Column(title=title, where=where, labels=labels, scale=scale, decimals=decimals)
