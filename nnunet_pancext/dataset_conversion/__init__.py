"""From a downloaded dataset to an nnU-Net raw dataset.

One module per source layout (`msd`) returns a `source.SourceDataset`; `conversion` does the rest, the same
for all sources: checks every case, splits, writes, reports.
"""
