"""Running a trained network over an image: the whole image, or only where the foreground is."""
