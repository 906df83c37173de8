"""Many trainings, over KL weights and whatever else is varied, and the best of them."""
