"""Synthetic abdominal CTs with a pancreas and a tumour, for demos and tests without a real dataset."""

from nnunet_pancext.phantom.case import DEFAULT_SIZE, SMALLEST_SIZE, PhantomCase, make_phantom_case
from nnunet_pancext.phantom.dataset import write_phantom_dataset
from nnunet_pancext.phantom.difficulty import DIFFICULTIES, Difficulty

__all__ = [
    "DEFAULT_SIZE",
    "DIFFICULTIES",
    "SMALLEST_SIZE",
    "Difficulty",
    "PhantomCase",
    "make_phantom_case",
    "write_phantom_dataset",
]
