"""Where MIDI comes in: named inputs, bounded, stamped on arrival."""
