"""What the processes of a session say to each other, over bridge/channel.py; one module for each pair of them."""
