"""Does z tell structure, or how bright a window is?"""
