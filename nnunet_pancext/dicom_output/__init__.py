"""Predictions as DICOM objects: segmentations with coded segments that reference the images they lie on."""
