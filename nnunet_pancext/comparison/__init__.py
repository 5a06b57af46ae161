"""Trained models of one dataset, compared on the same cases.

`models`, `folds`, `truth` find what is to be compared and refuse what cannot be; `scoring` scores it;
`paired` describes and tests by the pure functions of `statistics`; `strata` and `cost` add their columns;
`compare` does all of it.
"""

from nnunet_pancext.comparison.compare import Comparison, compare_models

__all__ = ["Comparison", "compare_models"]
