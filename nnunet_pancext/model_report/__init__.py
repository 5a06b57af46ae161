"""A trained model's folder → the page that shows what it learned and where it fails."""
