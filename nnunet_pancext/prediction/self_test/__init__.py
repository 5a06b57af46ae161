"""`--self-test`: how much a faster way changes, measured on validation cases."""
