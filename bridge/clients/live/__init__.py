"""The Max for Live device: its patch, how it is made, and what it is checked against."""
