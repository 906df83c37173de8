"""What images and latent maps say about how to model them."""
