"""What do priors that learn do to latents, and to the bound?"""
