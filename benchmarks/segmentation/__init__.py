"""Does the segmenter that comes with the package find atoms?"""
