"""What nnU-Net leaves on disk, as objects."""
