"""Campaigns: every trainer, plan, configuration and fold of some datasets, on one machine or on Slurm."""
