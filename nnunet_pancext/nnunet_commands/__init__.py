"""Running nnU-Net's commands with a log, progress and the time to go."""
