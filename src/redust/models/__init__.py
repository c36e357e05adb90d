"""Networks, weights and their cards."""
