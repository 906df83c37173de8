"""Atoms: found, refined, linked between frames, and set against their ideal lattice."""
