"""`pancext campaign plan`: from what a user asks for to the steps of a campaign."""
