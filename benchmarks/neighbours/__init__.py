"""Neighbouring windows that say something of each other."""
