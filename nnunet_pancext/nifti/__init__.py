"""Reading NIfTI files without ITK, which hides damage."""
