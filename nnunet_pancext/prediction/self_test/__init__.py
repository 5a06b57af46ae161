"""`--self-test`: how much each speed changes the results, measured on validation cases."""
