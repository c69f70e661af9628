"""Control: every controllable thing, and the doors to it."""
