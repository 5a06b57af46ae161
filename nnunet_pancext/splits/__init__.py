"""Training, validation and test cases: drawn, published, and in the files nnU-Net reads."""
