"""Reading files completely and writing them atomically; NIfTI; parallel work."""
