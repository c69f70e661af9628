"""MusicGen's decoder: a language model of a codec's codes and a text encoder, trained here from nothing."""
