"""The seed's system: a flat GPT over REMI tokens with a genre token, one token a step."""
