"""Clock and timeline: when a tick is."""
