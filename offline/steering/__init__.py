"""Steering: directions in MusicGen's residual stream, found from sound whose music is known."""
