"""From files and arrays to patches: readers, windows, synthetic and example images."""
