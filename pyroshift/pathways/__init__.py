"""Classes of patches, and how atoms go from one to another."""
