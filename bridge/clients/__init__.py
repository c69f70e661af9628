"""What a user drops into another program, so that it plays with Sideman (docs/CLIENTS.md)."""
