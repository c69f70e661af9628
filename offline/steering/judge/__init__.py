"""Judges of steered sound that know nothing of the model, and the tables of what they say."""
