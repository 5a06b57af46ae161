"""Pictures of CT slices, and charts."""
