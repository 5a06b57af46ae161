"""DICOM series as input, DICOM-SEG as output, of `pancext predict`."""
