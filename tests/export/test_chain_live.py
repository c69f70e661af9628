"""The chain model played live, bar by bar with its context kept, says what training says of the whole piece."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engines.music import Meter
from engines.notes.asked import Asked
from engines.notes.chain import HEADS, ChainModel, Graphs
from engines.notes.events import BAR, BAR_END, OFFSET, STEP
from engines.notes.grammar import Grammar, silence
from engines.notes.history import Measure
from engines.notes.limits import limits_of
from engines.notes.page import normal
from engines.notes.parameters import parameters_for
from engines.parameter import Parameters

torch = pytest.importorskip("torch", reason="needs the extra train")

from export.attention import torch_attention  # noqa: E402
from export.notes_chain import trunk_inputs  # noqa: E402
from export.notes_chain_modules import HeadModule, ToldModule, Trunk  # noqa: E402
from export.notes_chain_steps import made_up  # noqa: E402
from offline.notes.chain.batch import batch_of  # noqa: E402
from offline.notes.chain.config import ChainConfig  # noqa: E402
from offline.notes.chain.network import ChainNetwork  # noqa: E402
from offline.notes.chain.sequences import Sequences, Song  # noqa: E402
from offline.notes.chain.train import decisions  # noqa: E402
from offline.notes.chain.window import Window  # noqa: E402

GENRES = ("folk", "jazz")
BARS = 6


def as_graph(module: Any, names: list[str]) -> Any:
    def run(**inputs: Any) -> tuple[Any, ...]:
        with torch.inference_mode():
            said = module(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in names))
        return tuple(each.numpy() for each in (said if isinstance(said, tuple) else (said,)))

    return run


def model_of(network: ChainNetwork) -> ChainModel:
    inputs = trunk_inputs(network)
    heads = {}
    for i, name in enumerate(HEADS):
        told = [*["chosen"] * (i > 0), *["references"] * (i > 1), *["tonality"] * (name == "pitch")]
        names = ["x", "candidates", *told, "keep"]
        heads[name] = as_graph(HeadModule(network, name), names)
    graphs = Graphs(
        as_graph(Trunk(network, torch_attention), [each.name for each in inputs]), inputs,
        as_graph(ToldModule(network), ["fields"]), heads,
    )  # fmt: skip
    return ChainModel(graphs, {"genres": GENRES, "heads": network.config.heads})


@pytest.fixture(scope="module")
def network() -> Iterator[ChainNetwork]:
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    config = ChainConfig(width=32, layers=2, heads=2, hidden=48, context=160)
    yield ChainNetwork(config, len(GENRES)).eval()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def song() -> Song:
    whole = next(made_up(len(GENRES)))
    few = (whole.events[:, BAR] < BARS) & (whole.events[:, STEP] % 5 == 0)
    return replace(whole, events=whole.events[few], bars=whole.bars[:BARS])


def measures(song: Song) -> list[Measure]:
    found = []
    for number, (steps, denominator, tempo) in enumerate(song.bars.tolist()):
        events = song.events[song.events[:, BAR] == number].copy()
        events[:, BAR] = 0
        found.append(Measure(steps, denominator, tempo, np.zeros(5, np.int32), np.zeros(16, np.int32), events))
    return found


def asked(measure: Measure, number: int, genre: int = 0) -> Asked:
    values = Parameters(parameters_for(GENRES)).snapshot()
    limits = limits_of(Meter(), values, np.ones(16, bool), None)
    return Asked(bar=measure, number=number, genres=((genre, 1.0),), grammar=Grammar(limits, silence()))


def nats(model: ChainModel, history: tuple[Measure, ...], measure: Measure, number: int) -> np.ndarray:
    """[6] of a bar's notes and its end, by head."""
    page, total = model._page(history, asked(measure, number)), np.zeros(len(HEADS))
    for row in measure.events.tolist():
        note = row[1:]
        for made in range(OFFSET):
            total[made] -= normal(page.logits(note[:made]))[note[made]]
        page.write(note)
    total[0] -= normal(page.logits(()))[BAR_END]
    return total


def test_live_bar_by_bar_is_what_training_says(network: ChainNetwork, song: Song) -> None:
    sequences = Sequences([song], network.layout)
    size = int(sequences.size[0])
    with torch.inference_mode():
        batch = batch_of(sequences, [Window(0, 0, size, 0)])
        whole = decisions(network, batch, weighted=False).numpy()
    model, bars = model_of(network), measures(song)
    for number, measure in enumerate(bars):
        live = nats(model, tuple(bars[:number]), measure, number)
        assert live == pytest.approx(whole[sequences.bar == number].sum(0), abs=1e-3)


def test_a_kept_context_says_what_a_fresh_one_says(network: ChainNetwork, song: Song) -> None:
    kept, bars = model_of(network), measures(song)
    for number in (0, 1, 2, 1, 3):  # with steps back, as for another take and an undo
        told = nats(kept, tuple(bars[:number]), bars[number], number)
        assert told == pytest.approx(nats(model_of(network), tuple(bars[:number]), bars[number], number), abs=1e-4)


def test_a_bar_that_was_another_than_the_model_wrote_is_heard_anew(network: ChainNetwork, song: Song) -> None:
    kept, bars = model_of(network), measures(song)
    for number in range(3, 4):
        nats(kept, tuple(bars[:number]), bars[number], number)
    changed = [*bars[:3], replace(bars[3], events=bars[3].events[:-2]), bars[4]]
    told = nats(kept, tuple(changed[:4]), changed[4], 4)
    assert told == pytest.approx(nats(model_of(network), tuple(changed[:4]), changed[4], 4), abs=1e-4)
    assert told != pytest.approx(nats(model_of(network), tuple(bars[:4]), changed[4], 4), abs=1e-3)


def test_what_is_too_long_for_the_buffers_goes_from_its_beginning(network: ChainNetwork, song: Song) -> None:
    model, one = model_of(network), measures(song)
    bars = one * 5
    for number, measure in enumerate(bars):
        assert np.isfinite(nats(model, tuple(bars[:number]), measure, number)).all()
    stream = model._streams[0]
    assert stream.context.length <= stream.context.window
    assert stream._index == sum(1 + len(measure.events) for measure in bars)


def test_a_bar_that_is_asked_for_again_after_the_buffers_slid_is_the_same(network: ChainNetwork, song: Song) -> None:
    model, bars = model_of(network), measures(song) * 5
    said = [nats(model, tuple(bars[:number]), bars[number], number) for number in range(len(bars))]
    assert model._streams[0]._slides
    for number in range(len(bars) - 1, len(bars) - 4, -1):
        nats(model, tuple(bars[: number + 1]), bars[0], number + 1)  # the bar after it had been begun
        again = nats(model, tuple(bars[:number]), bars[number], number)
        assert again == pytest.approx(said[number], abs=1e-4)


def test_a_genre_changes_what_follows_and_a_blend_lies_between(network: ChainNetwork, song: Song) -> None:
    model, bars = model_of(network), measures(song)
    history = tuple(bars[:2])
    one = model._page(history, asked(bars[2], 2, 0)).logits(())
    other = model._page(history, asked(bars[2], 2, 1)).logits(())
    blended = replace(asked(bars[2], 2), genres=((0, 0.5), (1, 0.5)))
    half = model._page(history, blended).logits(())
    assert not np.allclose(one, other, atol=1e-4)
    assert half == pytest.approx((normal(one) + normal(other)) / 2, abs=1e-4)


def test_a_bar_is_sampled_and_the_same_again(network: ChainNetwork, song: Song) -> None:
    bars = measures(song)
    first = model_of(network).write(tuple(bars[:3]), asked(bars[3], 3), np.random.default_rng(1))
    again = model_of(network).write(tuple(bars[:3]), asked(bars[3], 3), np.random.default_rng(1))
    other = model_of(network).write(tuple(bars[:3]), asked(bars[3], 3), np.random.default_rng(2))
    assert first.complete
    assert (first.events == again.events).all()
    assert first.events.shape != other.events.shape or (first.events != other.events).any()
