"""Is the strain of a lattice told from offsets as well as by the methods that the field knows?"""
