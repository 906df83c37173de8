"""How posteriors are found: by networks, or by searching for the pose."""
