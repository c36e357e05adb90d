"""Networks that give light: one fills masked pixels, one restores without a mask."""
