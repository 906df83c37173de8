"""Are atoms found where they are, and nowhere else?"""
