"""From a trained model to labelled maps and back, and models on disk."""
