"""The seed's network in Keras 3: token, position and style added, two LSTM layers, a softmax over masks.

After the Polyrhythmia LSTM (Flores Larrondo 2025), of which only the description was used. Import this module where
Keras is needed and nowhere else: TensorFlow takes seconds to load.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops
from numpy.typing import NDArray

from engines.runtime import Graph

POSITIONS = 16
"""Sixteenths of the 4/4 bar the network knows."""

STYLE_WIDTH = 32


def build(vocabulary: int, styles: int, embedding: int, units: int, dropout: float) -> keras.Model:
    """The network as it is trained: whole sequences in, logits of every step out.

    vocabulary: tokens that can be said, UNK included; token `vocabulary` is the start of a sequence, read only
    styles:     "any" (0) included
    Inputs: tokens int32 [B, T], what was played one step before; positions int32 [B, T], 0-15; style int32 [B, 1].
    Output: logits float32 [B, T, vocabulary].
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    positions = keras.Input((None,), dtype="int32", name="positions")
    style = keras.Input((1,), dtype="int32", name="style")
    x = layers.Add(name="read")(
        [
            layers.Embedding(vocabulary + 1, embedding, name="token_embedding")(tokens),
            layers.Embedding(POSITIONS, embedding, name="position_embedding")(positions),
            layers.Dense(embedding, name="style_projection")(
                layers.Embedding(styles, STYLE_WIDTH, name="style_embedding")(style)
            ),
        ]
    )
    for i in (1, 2):
        x = layers.Dropout(dropout, name=f"dropout_{i}")(x)
        x = layers.LSTM(units, return_sequences=True, name=f"lstm_{i}")(x)
    x = layers.Dropout(dropout, name="dropout_3")(x)
    return keras.Model([tokens, positions, style], layers.Dense(vocabulary, name="logits")(x), name="lstm")


def step(network: keras.Model) -> keras.Model:
    """One step of a network of `build`, on the same weights, with its state as inputs and outputs.

    Inputs: token, position, style int32 [B]; h1, c1, h2, c2 float32 [B, units], zeros at the start of a sequence.
    Outputs: logits float32 [B, vocabulary], then the four new states.
    """
    units = network.get_layer("lstm_1").units
    token, position, style = (keras.Input((), dtype="int32", name=n) for n in ("token", "position", "style"))
    states = [keras.Input((units,), name=n) for n in ("h1", "c1", "h2", "c2")]
    x = layers.Add()(
        [
            network.get_layer("token_embedding")(token),
            network.get_layer("position_embedding")(position),
            network.get_layer("style_projection")(network.get_layer("style_embedding")(style)),
        ]
    )
    new: list[Any] = []
    for i in (0, 1):
        cell = network.get_layer(f"lstm_{i + 1}").cell
        cell.name = f"cell_{i + 1}"  # Keras gives both the same name, and refuses a model that holds it twice
        x, state = cell(x, states[2 * i : 2 * i + 2])
        new += state
    return keras.Model([token, position, style, *states], [network.get_layer("logits")(x), *new], name="lstm_step")


def step_graph(network: keras.Model) -> Graph:
    """The step of a network as an engines.runtime.Graph: the checkpoint itself, to be played or evaluated."""
    import tensorflow as tf

    model = step(network)
    call = tf.function(lambda values: model(values, training=False), reduce_retracing=True)

    def run(**inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return tuple(output.numpy() for output in call([tf.constant(inputs[each.name]) for each in model.inputs]))

    return run


def load_weights(network: keras.Model, path: Path) -> None:
    """Take the weights of a .keras or .h5 checkpoint; nothing in the file is run. Raises ValueError if they differ."""
    try:
        network.load_weights(path)
    except (OSError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise ValueError(str(error)) from error


def smoothed_loss(smoothing: float) -> Any:
    """Cross-entropy against a target that leaves `smoothing` to all tokens alike (Szegedy et al. 2016, section 7)."""

    def loss(target: Any, logits: Any) -> Any:
        logp = ops.log_softmax(logits, axis=-1)
        said = ops.take_along_axis(logp, ops.expand_dims(ops.cast(target, "int32"), -1), axis=-1)[..., 0]
        return -(1.0 - smoothing) * said - smoothing * ops.mean(logp, axis=-1)

    return loss


class Perplexity(keras.metrics.Mean):  # type: ignore[misc]  # keras has no types
    """exp of the mean cross-entropy per token in nats, without label smoothing."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: targets [B, T], logits [B, T, V], weights [B, T]."""
        loss = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        super().update_state(loss, sample_weight)

    def result(self) -> Any:
        """The perplexity so far."""
        return ops.exp(super().result())
