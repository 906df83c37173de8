"""Deflections of the beam in 4D-STEM: against the centre of mass and cross-correlation."""
