"""The shift-VAE paper, figure by figure, in numbers."""
