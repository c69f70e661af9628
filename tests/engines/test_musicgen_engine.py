"""The engine musicgen, on a bundle of random weights: spans, joins, states, loops, faders, keys, the beat, overload."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from bridge.cli import main
from bridge.commands.check import RULES
from bridge.players.worker import check_chunk
from engines.audio import Loop, frames_in
from engines.bundle import Bundle
from engines.engine import Played, Request
from engines.errors import SidemanError
from engines.music import LoopFile, Meter, Note, Phrase
from engines.musicgen.direction import About, Direction, read_direction, write_direction
from engines.musicgen.engine import MusicgenEngine
from engines.musicgen.ladder import LEAST, Ladder, Rung, Work
from engines.musicgen.memory import Stream, heard
from engines.musicgen.parameters import settings_of
from engines.musicgen.sampling import Settings
from engines.musicgen.state import Renewal, SoundState
from engines.parameter import Parameters, Value

torch = pytest.importorskip("torch", reason="needs the extra train")
transformers = pytest.importorskip("transformers", reason="needs the extra train")

from offline.steering.model import load_model  # noqa: E402
from offline.steering.tiny import write_tiny  # noqa: E402

LAYERS, RATE = 2, 32_000
FOUR, SEVEN = Meter(4, 4), Meter(7, 8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("musicgen")
    model = audible(write_tiny(folder / "model", layers=LAYERS))
    loaded = load_model(str(model))
    (folder / "keys").mkdir()
    for number, concept in enumerate(("note:C", "note:E", "chord:min")):
        path = folder / ("c.safetensors" if not number else f"keys/{concept.replace(':', '-')}.safetensors")
        write_direction(direction(concept, number, loaded.hash, loaded.width), path)
    command = ["export", "musicgen", str(model), "-o", str(folder / "b"), "--formats", "onnx", "--quiet",
               "--fader", f"C={folder / 'c.safetensors'},low=-2,high=2,coefficient=.5,units=rms,layers=all",
               "--directions", f"{folder / 'keys'},coefficient=.5,layers=all", "--context-seconds", "2",
               "--candidates", "1"]  # fmt: skip
    assert main(command) == 0
    return Bundle.load(folder / "b")


def audible(folder: Path) -> Path:
    """Have the codec's sound hang on its codes, rather than on its biases."""
    network = transformers.MusicgenForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        torch.manual_seed(0)
        for layer in network.audio_encoder.quantizer.layers:
            layer.codebook.embed.normal_()
        for name, weight in network.audio_encoder.decoder.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
            elif name.endswith("original0"):
                weight.mul_(1.5)
    network.save_pretrained(folder)
    return folder


def direction(concept: str, seed: int, model: str, width: int) -> Direction:
    vectors = np.random.default_rng(seed).standard_normal((LAYERS, width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    about = About(
        schema=1, concept=concept, task="binary", method="random", model=model, pooling="mean", prompt="", split={},
        scores=(0.5,) * LAYERS, made={},
    )  # fmt: skip
    return Direction(about, vectors, np.full(LAYERS, 8.0, np.float32))


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> MusicgenEngine:
    return MusicgenEngine.load(bundle)


Player = Callable[..., list[Loop]]


def asked(engine: MusicgenEngine, start: int = 0, ticks: int = 1920, *, meter: Meter = FOUR, bpm: float = 240.0,
          values: dict[str, Value] | None = None, **more: Any) -> Request:  # fmt: skip
    """Half a second, half a bar of it, at 240 bpm."""
    return Request(
        bar=start // ticks, start_tick=start, length_ticks=ticks, meter=meter, tempo_bpm=bpm,
        parameters=Parameters(engine.parameters).snapshot() | (values or {}), seed=3, **more,
    )  # fmt: skip


def played(
    engine: MusicgenEngine, requests: Sequence[Request], state: SoundState | None = None
) -> Iterator[tuple[np.ndarray, SoundState]]:
    """Each request's frames, and the state after it."""
    state = state or engine.start(3)
    for request in requests:
        chunk, state = engine.generate(request, state)
        check_chunk(chunk, request)
        frames = chunk.frames[chunk.lead :]
        assert len(frames) == frames_in(request.length_ticks, request.tempo_bpm, RATE)
        yield frames, state


def spans(engine: MusicgenEngine, count: int, ticks: int = 960, **more: Any) -> list[Request]:
    return [asked(engine, number * ticks, ticks, **more) for number in range(count)]


def offline(engine: MusicgenEngine, state: SoundState) -> np.ndarray:
    """What all the codes of a stream that was not cut yet are decoded to at once."""
    frames = engine.model.shape.delay.gathered(state.stream.columns)
    assert not state.stream.before
    return engine.model.codec.chunk(frames, 0, frames.shape[1])


def alone(loop: Loop) -> np.ndarray:
    """Its frames without its lead."""
    return loop.frames[loop.lead :]


def rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound**2)))


# Spans and how they join


def test_spans_that_follow_are_one_decode(engine: MusicgenEngine) -> None:
    requests = [asked(engine, 0, 480), asked(engine, 480, 960), asked(engine, 1440, 37), asked(engine, 1477, 960)]
    parts = list(played(engine, requests))
    state, whole = parts[-1][1], np.concatenate([frames for frames, _ in parts])
    meant = np.clip(offline(engine, state)[: len(whole)], -1, 1)
    assert rms(meant) > 0.01
    follow, _ = engine.generate(asked(engine, 2437, 960), state)
    np.testing.assert_array_equal(follow.frames[: follow.lead], whole[-follow.lead :])
    assert follow.lead == 640
    assert rms(whole - meant) <= 1e-3 * rms(meant)


def test_spans_are_as_long_as_asked_in_any_metre_at_any_tempo(engine: MusicgenEngine) -> None:
    requests, at = [], 0
    for meter, ticks, bpm in ((FOUR, 3840, 233.0), (SEVEN, 3360, 97.3), (SEVEN, 480, 401.7), (Meter(5, 16), 1200, 60.1),
                              (FOUR, 3840, 299.9), (Meter(2, 4), 1, 120.0)):  # fmt: skip
        requests.append(asked(engine, at, ticks, meter=meter, bpm=bpm))
        at += ticks
    assert len(list(played(engine, requests))) == 6


def test_a_stream_outlives_the_decoders_positions_without_a_seam(bundle: Bundle) -> None:
    """Its window is cut down, so that it is renewed between spans; the codec hears on over the cut."""
    engine = MusicgenEngine.load(bundle)
    engine._desk.window, engine._maker.context, engine._context = 150, 60, 60
    longest, codes, whole = 0, [], []
    before: int | None = None
    at_renewal: list[tuple[int, SoundState]] = []
    requests = spans(engine, 24, 1920)
    for number, (frames, state) in enumerate(played(engine, requests)):
        if at_renewal and number == at_renewal[0][0] + 3:
            parts = played(engine, requests[at_renewal[0][0] + 1 : number + 1], at_renewal[0][1])
            np.testing.assert_array_equal([part for part, _ in parts][-1], frames)  # it is the same asked for again
        if state.renewal is not None:
            at_renewal.append((number, state))
        longest = max(longest, state.stream.columns.shape[1])
        stream = state.stream
        seen = 0 if before is None else before
        codes.append(stream.columns[:, seen - stream.before :] if stream.reached > seen else None)
        before = stream.reached
        whole.append(frames)
    assert longest <= 151
    laid = np.concatenate([each for each in codes if each is not None], axis=1)
    sound = np.concatenate(whole)
    frames_all = engine.model.shape.delay.gathered(laid)
    meant = np.clip(engine.model.codec.sound(frames_all)[: len(sound)], -1, 1)
    assert state.stream.before > 0
    assert rms(sound - meant) <= 1e-3 * rms(meant)


def test_a_bar_longer_than_all_positions_is_made(bundle: Bundle) -> None:
    engine = MusicgenEngine.load(bundle)
    engine._desk.window, engine._maker.context, engine._context = 120, 50, 50
    ((frames, state), (more, _)) = played(engine, spans(engine, 2, 15_360, meter=Meter(16, 4)))
    assert state.stream.before > 0
    assert rms(frames[-RATE:]) > 0.01
    assert not np.array_equal(frames, more)


def test_a_renewal_that_fails_leaves_the_old_stream(engine: MusicgenEngine) -> None:
    def fail() -> Stream:
        raise SidemanError("the model says numbers that are not finite")

    state = replace(engine.start(3), renewal=Renewal(fail), due=True)
    assert state.onward() is state.stream


# States


def test_a_state_is_a_value(bundle: Bundle) -> None:
    """Asked for again, whatever was made in between and in another engine, it is the same; another take is not."""
    engine, other = MusicgenEngine.load(bundle), MusicgenEngine.load(bundle)
    values: dict[str, Value] = {"candidates": 2}
    first = list(played(engine, spans(engine, 3, 3840, values=values)))
    state = first[0][1]
    take = engine.generate(asked(engine, 3840, 3840, values=values, take=1), state)[0]
    again = list(played(engine, spans(engine, 3, 3840, values=values)[1:], state))
    elsewhere = list(played(other, spans(other, 3, 3840, values=values)))
    for (frames, _), (same, _) in zip(first[1:], again, strict=True):
        np.testing.assert_array_equal(frames, same)
    np.testing.assert_array_equal(first[2][0], elsewhere[2][0])
    assert rms(alone(take) - first[1][0]) > 0.1 * rms(alone(take))


def test_another_seed_is_other_sound(engine: MusicgenEngine) -> None:
    one = engine.generate(asked(engine), engine.start(3))[0]
    two = engine.generate(structs.replace(asked(engine), seed=4), engine.start(4))[0]
    assert one != two


def test_it_goes_on_from_loops_that_were_played(engine: MusicgenEngine, tmp_path: Path) -> None:
    import soundfile

    path, n = tmp_path / "a.wav", RATE
    sound = 0.3 * np.sin(np.arange(n) * 0.05)
    soundfile.write(path, np.stack([sound, sound], axis=1), RATE, subtype="FLOAT")
    bar = Played(FOUR, Phrase(3840, loop=LoopFile(str(path), RATE, n, 2, 3840, 240_000)))
    gone = Played(FOUR, Phrase(3840, loop=LoopFile(str(tmp_path / "gone.wav"), RATE, n, 2, 3840, 240_000)))
    primed = engine.prime([gone, bar, bar], 3)
    assert primed.stream.columns.shape[1] == 1 + 100
    np.testing.assert_allclose(primed.recent[:, 0], np.tile(sound, 2), atol=1e-6)
    heard = engine.model.codec.codes(primed.recent)
    np.testing.assert_array_equal(engine.model.shape.delay.gathered(primed.stream.columns), heard[:, :-3])
    (frames, _), (again, _) = (next(played(engine, [asked(engine)], state)) for state in (primed, primed))
    np.testing.assert_array_equal(frames, again)
    assert not engine.prime([bar, gone], 3).place


def test_what_was_primed_is_heard_while_the_last_bar_is_repeated(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a thread, once: a half beat is too short for it, and each that began anew would be given up in its midst."""
    from engines.musicgen import engine as module

    gate, calls = threading.Event(), []

    def slow(*how: Any, **more: Any) -> Stream:
        calls.append(how)
        gate.wait(20)
        return heard(*how, **more)

    monkeypatch.setattr(module, "heard", slow)
    engine = MusicgenEngine.load(bundle)
    (*_, (first, _), (second, before)) = played(engine, spans(engine, 4, 1920))
    engine._ladder = Ladder()  # which does not know yet what a step takes
    stream = replace(before.stream, memory=())
    state = replace(before, stream=stream, renewal=None, due=False)
    requests = [asked(engine, (4 + number) * 1920, 1920, time_left_s=0.1) for number in range(2)]
    ((one, _), (two, waiting)) = played(engine, requests, state)
    np.testing.assert_array_equal(one[400:], first[400:])
    np.testing.assert_array_equal(two[400:], second[400:])
    gate.set()
    assert waiting.renewal is not None and waiting.renewal.ready(20)
    ((new, after),) = played(engine, [asked(engine, 6 * 1920, 1920)], waiting)
    assert len(calls) == 1
    straight, _ = next(played(engine, [asked(engine, 6 * 1920, 1920)], before))
    np.testing.assert_allclose(new[400:], straight[400:], atol=1e-4)
    assert after.stream.heard


# Bars that come again


def test_so_many_bars_come_again_until_something_is_turned(engine: MusicgenEngine) -> None:
    values: dict[str, Value] = {"bars": 2, "candidates": 1}
    requests = spans(engine, 5, 3840, values=values)
    requests.append(asked(engine, 5 * 3840, 3840, values=values, vary=True))
    requests += [asked(engine, at * 3840, 3840, values=values | {"c": 0.5}) for at in (6, 7, 8)]
    bars = [frames for frames, _ in played(engine, requests)]
    for early, late in ((0, 2), (1, 3), (0, 4)):
        np.testing.assert_array_equal(bars[early], bars[late])
    for one, other in ((0, 1), (0, 5), (1, 5), (5, 6)):
        assert not np.array_equal(bars[one], bars[other])
    np.testing.assert_array_equal(bars[6], bars[8])
    for before, after in pairwise(bars):  # no step is larger at a seam than elsewhere
        inside = max(np.abs(np.diff(each[:, 0])).max() for each in (before, after))
        assert abs(float(after[0, 0] - before[-1, 0])) <= 1.5 * inside


def test_at_another_tempo_they_are_stretched(engine: MusicgenEngine) -> None:
    values: dict[str, Value] = {"bars": 1, "align": False}
    first, state = next(played(engine, [asked(engine, 0, 3840, values=values)]))
    slower, _ = next(played(engine, [asked(engine, 3840, 3840, bpm=230.0, values=values)], state))
    assert len(slower) > len(first)
    assert rms(slower) == pytest.approx(rms(first), rel=0.3)


# Faders and keys


def test_a_fader_changes_the_next_span_and_none_of_it_is_nothing(bundle: Bundle, engine: MusicgenEngine) -> None:
    plain = MusicgenEngine(engine.model)
    with_fader = [frames for frames, _ in played(engine, spans(engine, 3))]
    without = [frames for frames, _ in played(plain, spans(plain, 3))]
    np.testing.assert_array_equal(np.concatenate(with_fader), np.concatenate(without))
    (_, state), *_ = played(engine, spans(engine, 1))
    moved, _ = next(played(engine, [asked(engine, 960, 960, values={"c": 2.0})], state))
    assert not np.array_equal(moved, with_fader[1])


def test_what_is_held_down_is_said_once(bundle: Bundle) -> None:
    engine = MusicgenEngine.load(bundle)
    keys: dict[str, Value] = {"c": 2.0, "keys": 2.0, "attack": 0.0}
    held = (Note(-960, 60, 127, 960),)
    state = engine.start(3)
    for number in range(2):
        _, state = engine.generate(asked(engine, number * 960, 960, values=keys, heard=held), state)
    assert [line for line in engine.said() if "held at 1" in line]
    assert not engine.said()


def test_held_keys_bend_the_sound_and_it_comes_back(engine: MusicgenEngine) -> None:
    plain = [frames for frames, _ in played(engine, spans(engine, 2))]
    values: dict[str, Value] = {"attack": 0.0, "release": 100.0}
    held = asked(engine, 0, 960, values=values, heard=(Note(-50, 64, 127, 50), Note(-50, 61, 127, 50)))
    bent, state = next(played(engine, [held]))
    assert not np.array_equal(bent, plain[0])
    assert set(state.levels) == {"note:E"}  # for C# there is no direction
    assert not list(played(engine, spans(engine, 3, values=values), state))[-1][1].levels
    off = next(played(engine, [structs.replace(held, parameters=held.parameters | {"keys": 0.0})]))[0]
    np.testing.assert_array_equal(off, plain[0])


# The beat


def test_of_several_candidates_the_one_on_the_beat_is_played(
    engine: MusicgenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[float] = []
    made = engine._maker.made

    def watched(*how: Any, **more: Any) -> Any:
        result: Any = made(*how, **more)
        found.append(result[0].lie.score)
        return result

    monkeypatch.setattr(engine._maker, "made", watched)
    for count in (1, 4):
        next(played(engine, [asked(engine, 0, 3840, values={"candidates": count})]))
    assert found[1] > found[0]


# Overload


def test_what_is_heard_again_does_not_count_as_steps(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now_s": 0.0}
    engine = MusicgenEngine(MusicgenEngine.load(bundle).model, now_s=lambda: clock["now_s"])
    opened = engine._desk.opened

    def slow(*how: Any) -> Any:
        clock["now_s"] += 5.0
        return opened(*how)

    monkeypatch.setattr(engine._desk, "opened", slow)
    next(played(engine, [asked(engine, time_left_s=100.0)]))
    assert engine._ladder.cost_s(Rung(1, True), Work(1.0, 100, 0)) < 1.0


def test_guidance_that_comes_back_hears_the_last_seconds_again(engine: MusicgenEngine) -> None:
    """It is the same stream: what was decided without guidance sounds on, and no sample is missing."""
    requests = [*spans(engine, 6, 1920, values={"guidance": 1.0}), asked(engine, 6 * 1920, 1920)]
    parts = list(played(engine, requests))
    before, after = parts[-2][1].stream, parts[-1][1].stream
    assert (before.guided, after.guided) == (False, True)
    assert after.columns.shape[1] < before.columns.shape[1]
    shared = after.before + 4  # of a frame whose first codes were cut off, all are
    np.testing.assert_array_equal(
        before.columns[:, shared - before.before :],
        after.columns[:, shared - after.before : before.reached - after.before],
    )
    np.testing.assert_array_equal(
        parts[-1][0], next(played(engine, requests[-1:], parts[-2][1]))[0]
    )  # and can be asked for again


def test_where_there_is_no_time_what_sounded_is_repeated_and_said_once(bundle: Bundle) -> None:
    engine = MusicgenEngine.load(bundle)
    requests = spans(engine, 1, 3840) + [asked(engine, at * 3840, 3840, time_left_s=0.0) for at in (1, 2)]
    requests.append(asked(engine, 3 * 3840, 3840))
    parts = list(played(engine, requests))
    first, again, third, new = (frames for frames, _ in parts)
    edge = round(0.05 * RATE)
    np.testing.assert_array_equal(first[edge:-edge], again[edge:-edge])
    np.testing.assert_array_equal(first[edge:-edge], third[edge:-edge])
    assert not np.array_equal(new[edge:], first[edge:])
    assert [state.again for _, state in parts] == [False, True, True, False]
    assert engine.said() == ("too slow: what sounded last is repeated",)
    assert not next(played(engine, [asked(engine, time_left_s=0.0)]))[0].any()


def test_a_step_that_hangs_costs_a_repeat_and_no_more(bundle: Bundle) -> None:
    """From the second span on each step takes a second, of which nothing was known: it is given up in its midst."""
    clock = {"now_s": 0.0, "step_s": 1e-3}

    def now_s() -> float:
        clock["now_s"] += clock["step_s"]
        return clock["now_s"]

    engine = MusicgenEngine(MusicgenEngine.load(bundle).model, now_s=now_s)
    ((first, state),) = played(engine, spans(engine, 1))
    clock["step_s"] = 1.0
    ((late, after),) = played(engine, [asked(engine, 960, 960, time_left_s=5.0)], state)
    np.testing.assert_array_equal(first[400:], late[400:])
    assert after.place == state.place
    assert engine.said() == ("too slow: what sounded last is repeated",)


def test_steps_that_were_made_when_time_was_over_are_not_lost(bundle: Bundle) -> None:
    """A machine that takes twice the time plays every other span, rather than none for ever."""
    clock = {"now_s": 0.0, "step_s": 0.0}

    def now_s() -> float:
        clock["now_s"] += clock["step_s"]
        return clock["now_s"]

    engine = MusicgenEngine(MusicgenEngine.load(bundle).model, now_s=now_s)
    (_, (_, state)) = played(engine, spans(engine, 2))
    clock["step_s"] = 1.0
    made = []
    for number in range(2, 6):
        engine._ladder.took(LEAST, 1, 1.0, 0, 0.0)
        ((_, after),) = played(engine, [asked(engine, number * 960, 960, time_left_s=12.0)], state)
        assert after.stream.reached > state.stream.reached
        made.append(after.place > state.place)
        state = after
    assert True in made and False in made


# Bundles


@pytest.mark.parametrize("rule", [name for name in RULES if "quick" not in name])
def test_it_keeps_the_rules_of_engines(engine: MusicgenEngine, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.commands import check

    monkeypatch.setattr(check, "BARS", 3)
    monkeypatch.setattr(check, "TEMPO_BPM", 240.0)
    RULES[rule](engine)


def test_it_needs_a_bundle() -> None:
    with pytest.raises(SidemanError, match="needs a bundle"):
        MusicgenEngine.load(None)


def test_faders_are_parameters_and_can_be_named(
    bundle: Bundle, engine: MusicgenEngine, tmp_path: Path, capsys: Any
) -> None:
    fader = next(each for each in engine.parameters if each.name == "c")
    assert (fader.low, fader.high, fader.default) == (-2.0, 2.0, 0.0)
    usual = ["generate", "musicgen", str(bundle.path), "--seconds", ".2", "--seed", "1", "-o"]
    for name, options in (("a", []), ("b", ["--direction", "C=1.5"]), ("c", ["--direction", "c=0"])):
        assert main([*usual, str(tmp_path / f"{name}.wav"), *options]) == 0
    plain, moved, none = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert plain == none
    assert plain != moved
    assert main([*usual, str(tmp_path / "d.wav"), "--direction", "D=1"]) == 2
    assert "no fader D; there are c" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"file": "../fader-c.safetensors"}, "config: faders"),
        ({"file": "step.safetensors"}, "has no SHA-256"),
        ({"high": float("1e9")}, "config: faders"),
        ({"name": "Loud Thing"}, "config: faders"),
        ({"name": ""}, "names of their own"),
    ],
)
def test_a_bundle_whose_faders_were_meddled_with_is_refused(bundle: Bundle, change: dict[str, Any], says: str) -> None:
    config = bundle.manifest.config
    row = config["faders"][0] | change
    manifest = structs.replace(bundle.manifest, config=config | {"faders": [row]})
    with pytest.raises(SidemanError, match=says):
        MusicgenEngine.load(Bundle(bundle.path, manifest))


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("prompt=FILE", "a parameter of that name already"),
        ("FILE", "it is written NAME=FILE"),
        ("two words=FILE", "it is written NAME=FILE"),
        ("c=FILE,loud=1", "keys are low"),
        ("c=FILE,low=soon", "low"),
        ("c=FILE,layers=some", "layers"),
        ("c=nothing.safetensors", "is no direction"),
    ],
)
def test_a_fader_that_cannot_be_is_one_line(bundle: Bundle, tmp_path: Path, option: str, says: str) -> None:
    from engines.musicgen.shape import shape_of
    from export.musicgen_faders import placed_faders

    shape = shape_of(bundle.manifest.config, bundle.path)
    file = bundle.path / "fader-c.safetensors"
    with pytest.raises(SidemanError, match=says):
        placed_faders(tmp_path, shape, [option.replace("FILE", str(file))], "")


def test_a_bundle_says_what_a_player_begins_with(bundle: Bundle) -> None:
    assert settings_of(bundle, None, None, None) == Settings(1.0, 250, 1.0, 3.0)
    live = {"prompt": "a piano", "temperature": 0.7, "top_k": 50, "guidance": 2.0, "candidates": 4}
    config = bundle.manifest.config | {"live": live}
    told = replace(bundle, manifest=structs.replace(bundle.manifest, config=config))
    found = {each.name: each.default for each in MusicgenEngine.load(told).parameters}
    assert {name: found[name] for name in live} == live
    assert settings_of(told, None, 0.5, None) == Settings(0.5, 50, 1.0, 2.0)
    with pytest.raises(SidemanError, match="guidance is nan"):
        settings_of(told, float("nan"), None, None)


def test_of_each_concept_keys_get_one_direction_of_the_method_that_is_asked_for(bundle: Bundle, tmp_path: Path) -> None:
    from engines.musicgen.shape import shape_of
    from export.musicgen_faders import placed_faders

    shape, found = shape_of(bundle.manifest.config, bundle.path), tmp_path / "found"
    found.mkdir()
    for number, (concept, method) in enumerate(product(("note:C", "note:E"), ("random", "rfm", "diffmean"))):
        one = direction(concept, number, shape.model_hash, shape.width)
        about = structs.replace(one.about, method=method)
        write_direction(replace(one, about=about), found / f"{concept[-1]}.{method}.safetensors")

    def placed(option: str) -> list[tuple[str, str]]:
        rows = placed_faders(tmp_path, shape, [], f"{found}{option}")["directions"]
        about = [read_direction(tmp_path / row["file"]).about for row in rows]
        return [(each.concept, each.method) for each in about]

    assert placed("") == [("note:C", "diffmean"), ("note:E", "diffmean")]
    assert placed(",coefficient=.2,method=rfm") == [("note:C", "rfm"), ("note:E", "rfm")]
    with pytest.raises(SidemanError, match="there is none of ridge"):
        placed(",method=ridge")


def test_every_parameter_is_in_the_docs(engine: MusicgenEngine) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "MUSICGEN.md").read_text("utf-8")
    missing = [each.name for each in engine.parameters if f"`{each.name}`" not in docs and each.name != "c"]
    assert not missing
