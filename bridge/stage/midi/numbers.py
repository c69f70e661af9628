"""Numbers of the MIDI 1.0 specification, by their names."""

from __future__ import annotations

CLOCK, SONG_POSITION, START, CONTINUE, STOP = 0xF8, 0xF2, 0xFA, 0xFB, 0xFC
"""Status bytes of MIDI clock; a song position has two bytes of data."""

SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF = 64, 120, 123
"""Controllers, each with 0, end what sounds."""
