"""One attempt at a step: its command as a child process under a lease, and its record."""
