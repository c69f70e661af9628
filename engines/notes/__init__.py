"""The engine `notes`: bars of pitched music by role, from a model of one step a note."""
