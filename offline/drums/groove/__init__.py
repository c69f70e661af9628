"""The groove model in PyTorch: its networks, its training, its checkpoints."""
