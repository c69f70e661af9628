"""The stage: the real-time process that lets events go at their time."""
