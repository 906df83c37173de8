"""Is the lattice found that an image shows, and none in noise?"""
