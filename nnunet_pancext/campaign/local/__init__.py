"""Running a campaign on this machine."""
