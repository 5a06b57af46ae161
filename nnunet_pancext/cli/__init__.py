"""The `pancext` command: each module parses one sub-command and hands over to the package."""
