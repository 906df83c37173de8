"""What does it bring to say what the noise is like?"""
