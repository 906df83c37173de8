"""What atoms do over time: classes of latents, transitions between them, trajectories."""
