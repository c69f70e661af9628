"""The recorder: what really left the stage, as files."""
