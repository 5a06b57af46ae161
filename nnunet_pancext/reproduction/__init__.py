"""`pancext reproduce`: a paper's protocol from the download to a table beside the paper's figures."""
