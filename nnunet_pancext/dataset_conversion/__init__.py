"""From a downloaded dataset to an nnU-Net raw dataset.

One module per source layout returns a `raw_cases.source.SourceDataset`; `conversion` does the rest, the same
for all sources: it checks every case, splits, writes and reports.
"""
