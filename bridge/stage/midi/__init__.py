"""MIDI ports, ours and other programs', in and out, on each system that this machine has."""
