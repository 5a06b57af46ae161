"""Is this machine ready? Checks that look for real and say what to do."""
