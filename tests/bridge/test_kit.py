"""The kit and the mixer: every note on its sample, whatever the blocks, and no block louder than full scale."""

import wave

import numpy as np
import pytest

from bridge.messages.stage import Piece
from bridge.recorder.midifile import Track
from bridge.recorder.wavfile import hits_of, write_wav
from bridge.sound.kit import RATE, Kit
from bridge.sound.limiter import Limiter, limited
from bridge.sound.mixer import CHOKE_FRAMES, Hit, Mixer
from bridge.timing.timeline import TempoMap
from engines.music import DRUMS, Note

KICK, SNARE, CLOSED, OPEN, CRASH = 36, 38, 42, 46, 49


@pytest.fixture(scope="module")
def kit():
    return Kit()


def rendered(kit, hits, frames, block):
    mixer = Mixer(kit)
    for hit in hits:
        mixer.add(hit)
    return np.concatenate([mixer.render(min(block, frames - at)) for at in range(0, frames, block)])


def onset(samples):
    """The first frame that is not silent."""
    return int(np.argmax(np.abs(samples).max(axis=1) > 0))


@pytest.mark.parametrize("drum", DRUMS, ids=lambda drum: drum.name)
def test_every_drum_sounds_and_ends_and_is_louder_the_harder_it_is_hit(kit, drum):
    levels = []
    for velocity in (20, 60, 100, 127):
        samples = rendered(kit, [Hit(0, drum.pitch, velocity)], RATE * 3, 4096)
        levels.append(float(np.sqrt((samples[: RATE // 5] ** 2).mean())))
        assert np.abs(samples).max() < 1
        assert not samples[-RATE // 4 :].any()
        assert abs(samples.mean()) < 0.001
    assert levels == sorted(levels)
    assert levels[-1] > 8 * levels[0] > 0


def test_the_drums_differ_in_where_their_sound_lies(kit):
    def centroid(pitch):
        spectrum = np.abs(np.fft.rfft(kit.sound(pitch).struck(100), RATE))
        return float((spectrum * np.arange(len(spectrum))).sum() / spectrum.sum())

    order = [centroid(pitch) for pitch in (KICK, SNARE, CLOSED)]
    assert order == sorted(order)
    assert centroid(43) < centroid(38)
    peaks = [int(np.abs(np.fft.rfft(kit.sound(pitch).struck(100), RATE)).argmax()) for pitch in (43, 47, 50)]
    assert peaks == sorted(peaks)
    assert peaks[-1] > peaks[0] * 1.5


def test_the_same_kit_is_made_every_time(kit):
    for sound, again in zip(kit.sounds, Kit().sounds, strict=True):
        assert np.array_equal(sound.body, again.body)
        assert np.array_equal(sound.edge, again.edge)


@pytest.mark.parametrize("frame", [0, 1, 255, 256, 257, 10_000])
def test_a_hit_is_on_its_frame(kit, frame):
    silent_start = onset(rendered(kit, [Hit(0, SNARE, 100)], 1000, 1000))
    assert onset(rendered(kit, [Hit(frame, SNARE, 100)], 12_000, 256)) == frame + silent_start


def test_the_block_size_is_not_heard(kit):
    hits = [Hit(i * 1_111, (KICK, CLOSED, SNARE, OPEN, CRASH)[i % 5], 40 + 8 * i) for i in range(10)]
    hits += [Hit(12_000, 57, 100, 1), Hit(14_000, 60, 90, 1), Hit(15_123, 57, 0, 1), Hit(16_001, CLOSED, 90)]
    whole = rendered(kit, hits, 30_000, 30_000)
    for block in (64, 256, 1_000):
        assert np.allclose(rendered(kit, hits, 30_000, block), whole, atol=2e-7)


def test_the_closed_hat_chokes_the_open_one(kit):
    at = 4_000
    choked = rendered(kit, [Hit(0, OPEN, 100), Hit(at, CLOSED, 100)], RATE, 256)
    alone = rendered(kit, [Hit(0, OPEN, 100)], RATE, 256)
    closed = rendered(kit, [Hit(at, CLOSED, 100)], RATE, 256)
    assert np.array_equal(choked[:at], alone[:at])
    assert np.allclose(choked[at + CHOKE_FRAMES :], closed[at + CHOKE_FRAMES :])
    assert not np.allclose(alone[at + CHOKE_FRAMES :], 0)
    both = rendered(kit, [Hit(0, CRASH, 100), Hit(at, CLOSED, 100)], RATE, 256)
    assert np.allclose(both, rendered(kit, [Hit(0, CRASH, 100)], RATE, 256) + closed, atol=1e-6)


def test_a_pitched_note_sounds_at_its_pitch_until_it_is_let_go(kit):
    samples = rendered(kit, [Hit(0, 69, 100, 1), Hit(RATE // 2, 69, 0, 1)], RATE, 512)
    spectrum = np.abs(np.fft.rfft(samples[: RATE // 2, 0], RATE))
    assert abs(int(spectrum.argmax()) - 440) <= 1
    assert not samples[RATE // 2 + RATE // 8 :].any()


def test_a_wall_of_sound_stays_below_full_scale(kit):
    hits = [Hit(0, drum.pitch, 127) for drum in DRUMS for _ in range(5)]
    samples = rendered(kit, hits, RATE // 4, 256)
    assert 0.9 < np.abs(samples).max() <= 1
    quiet = np.array([[0.1, -0.7], [0.0, 0.69]], np.float32)
    assert limited(quiet) is quiet


def test_the_limiter_of_a_callback_does_the_same_in_place():
    mix = np.random.default_rng(1).uniform(-3, 3, (300, 2)).astype(np.float32)
    expected = limited(mix)
    Limiter(512).limit(mix)
    assert np.allclose(mix, expected, atol=1e-6)
    quiet = mix * np.float32(0.1)
    Limiter(512).limit(quiet)
    assert np.array_equal(quiet, mix * np.float32(0.1))


def test_silence_fades_and_forgets(kit):
    mixer = Mixer(kit)
    mixer.add(Hit(0, CRASH, 127))
    mixer.add(Hit(5_000, SNARE, 127))
    mixer.render(1_000)
    mixer.silence()
    assert mixer.render(CHOKE_FRAMES).any()
    assert not mixer.render(10_000).any()


def test_a_thousand_hits_at_once_leave_a_bounded_number_of_voices(kit):
    mixer = Mixer(kit)
    for _ in range(1_000):
        mixer.add(Hit(0, CRASH, 100))
    mixer.render(64)
    assert len(mixer._voices) <= 48


def test_what_was_rendered_ahead_can_be_taken_back_for_a_note(kit):
    hits = [Hit(0, OPEN, 100), Hit(700, 60, 90, 1), Hit(2_000, CLOSED, 80), Hit(2_600, 60, 0, 1), Hit(3_000, SNARE, 90)]
    expected = rendered(kit, hits, 6_000, 6_000)
    mixer = Mixer(kit)
    sound = np.zeros((6_000, 2), np.float32)
    for hit in hits:  # each comes when 1,500 frames more than its own have been rendered
        while mixer.frame < hit.frame + 1_500:
            at = mixer.frame
            sound[at : at + 256] = mixer.render(256)
        assert mixer.rewind(hit.frame) == hit.frame
        mixer.add(hit)
    while mixer.frame < 5_800:
        at = mixer.frame
        part = mixer.render(256)
        sound[at : at + 256] = part[: 6_000 - at]
    assert np.allclose(sound[:5_700], expected[:5_700], atol=1e-6)


def test_a_silence_is_not_taken_back_with_what_came_after_it(kit):
    mixer = Mixer(kit)
    mixer.add(Hit(0, CRASH, 127))
    mixer.render(1_000)
    mixer.rewind(800)
    mixer.silence()
    mixer.render(2_000)
    mixer.rewind(900)
    assert not mixer.render(5_000)[CHOKE_FRAMES:].any()


def test_a_kit_at_another_rate_sounds_the_same(kit):
    other = Kit(44_100)
    for sound, again in zip(kit.sounds, other.sounds, strict=True):
        assert len(again.body) == pytest.approx(len(sound.body) * 44.1 / 48, abs=2)
        assert (again.body**2).sum() / 44.1 == pytest.approx(
            (sound.body**2).sum() / 48, rel=0.15
        )  # cymbals lie partly above 22 kHz


def test_a_pitch_the_kit_does_not_have_is_silent(kit):
    assert not rendered(kit, [Hit(0, 82, 100)], 1_000, 256).any()


def test_a_file_has_every_note_on_its_sample(tmp_path, kit):
    tempo_map = TempoMap(Piece(0, 0, 120_000))
    tempo_map.apply(Piece(960, tempo_map.ns_at(960), 61_803))
    track = Track.of_notes("drums", 10, [Note(0, KICK, 100, 60), Note(1_200, SNARE, 100, 60)])
    write_wav(tmp_path / "x.wav", [track], tempo_map, 3_840)
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 2, 2)
        found = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32767
    snare_frame = 24_000 + round(240 / 960 * 60 / 61.803 * 48_000)
    hits = [Hit(0, KICK, 100), Hit(snare_frame, SNARE, 100)]
    assert [hit for hit in hits_of(track, tempo_map) if hit.velocity] == hits
    assert np.allclose(found, rendered(kit, hits, len(found), 4_096), atol=1 / 32_000)
