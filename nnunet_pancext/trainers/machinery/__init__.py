"""What adapts nnU-Net's trainer; a paper's declaration needs none of it changed."""
