"""Steering: concepts that a model of audio is steered by, from synthesised examples of each."""
