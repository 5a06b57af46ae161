"""`pancext demo`: from raw CTs to a report through nnU-Net's own commands."""
