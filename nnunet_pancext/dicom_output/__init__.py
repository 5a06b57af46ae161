"""What leaves for a PACS: DICOM-SEG, and the services that store it."""
