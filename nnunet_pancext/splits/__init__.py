"""Training, validation and test cases: made, published, and where nnU-Net reads them."""
