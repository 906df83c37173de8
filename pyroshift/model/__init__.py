"""The model/guide pair and its three site lists: VAE, ShiftVAE, RVAE."""
