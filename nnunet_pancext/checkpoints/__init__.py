"""Reading checkpoints as data: no code in the file runs."""
