"""Models from elsewhere: what they are, and installing them without running code of theirs."""
