"""Files: reading whole, writing atomically; NIfTI, parallel work."""
