"""The drum models: dataset, training, evaluation."""
