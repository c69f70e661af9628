"""Where events leave: MIDI, OSC, sound."""
