"""The built-in kit, for the loudspeaker and for sound files."""
