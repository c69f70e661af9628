"""MusicGen: audio with prompts, a codec, and models of its codes."""
