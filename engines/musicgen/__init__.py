"""Steered MusicGen: what a player needs, without torch."""
