"""Mapping and training on more than one machine."""
