"""Export: from a training checkpoint to a verified bundle."""
