"""Sources: what a set's tempo can follow, each in a module of its own."""
