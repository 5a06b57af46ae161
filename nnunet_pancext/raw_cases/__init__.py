"""One case of a raw dataset: its image and label map, and what is wrong with them."""
