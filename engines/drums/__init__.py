"""The drum engine: bars for a nine-piece kit from a groove model or the seed's LSTM."""

from engines.drums.engine import DrumEngine

__all__ = ["DrumEngine"]
