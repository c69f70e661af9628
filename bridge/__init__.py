"""The bridge: the live daemon and the sideman command."""
