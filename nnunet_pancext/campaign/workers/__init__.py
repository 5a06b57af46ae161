"""Programs that steps of a campaign run, each in a process of its own."""
