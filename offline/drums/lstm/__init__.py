"""The seed's LSTM: its data, network and training in Keras. Only `fit` and `network` import TensorFlow."""
