"""What a performer sees and presses in the terminal."""
