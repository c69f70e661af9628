"""Readers of music files, splits and fingerprints."""
