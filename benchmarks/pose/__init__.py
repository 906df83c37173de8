"""Is pose found over the whole window and the whole circle, and is the posterior honest?"""
