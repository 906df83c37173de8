"""What does a frame of their own do to latents?"""
