"""Atoms told from all else by a network, as the rVAE papers find them."""
