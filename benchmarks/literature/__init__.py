"""Pose benchmarks of the machine-learning literature."""
