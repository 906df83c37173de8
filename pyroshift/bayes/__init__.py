"""Draws of the posterior corrected by importance sampling, evidence, and models compared by it."""
