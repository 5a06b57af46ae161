"""Running a campaign on Slurm, by submitit."""
