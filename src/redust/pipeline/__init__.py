"""One scan from file to file: the story."""
