"""`pancext predict`: from image files to label maps, with a record of each case and a page."""
