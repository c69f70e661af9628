"""The live side of the flat GPT: bars token by token, in the seed's vocabulary."""
