"""Players: planning, workers and their supervision."""
