"""`--report`: the page of a prediction."""
