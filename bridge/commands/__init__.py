"""The commands of `sideman`, a module each: `add_arguments(parser)` and `run(args)`."""
