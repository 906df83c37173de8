"""How far are trained guides from the posterior, and bounds from the evidence?"""
