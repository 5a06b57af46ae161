"""Reading attention maps out of a trained model, in the geometry of the image."""
