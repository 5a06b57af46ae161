"""Trained models of one dataset, compared on the same cases.

`results` finds the models and refuses what cannot be compared, by the rules of `folds` and `truth`;
`scored_cases` scores them; `paired` describes and tests by the pure functions of `statistics`; `strata` and
`cost` add their columns; `compare` puts them together.
"""

from nnunet_pancext.comparison.compare import Comparison, compare_models
from nnunet_pancext.comparison.results import DatasetResults, open_results

__all__ = ["Comparison", "DatasetResults", "compare_models", "open_results"]
