"""The modules that the networks consist of."""
