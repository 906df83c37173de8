"""Are posteriors right of windows that the trained model made itself?"""
