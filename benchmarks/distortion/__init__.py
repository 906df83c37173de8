"""Is the distortion of a scan recovered, and are positions corrected by it?"""
