"""Codec: audio to codes and back, a small EnCodec (Défossez et al. 2022) in the layout of transformers."""
