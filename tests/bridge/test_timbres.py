"""The plain sounds of the seats: each at its pitch, apart from the others, until its own key is let go."""

from pathlib import Path

import numpy as np
import pytest

from bridge.sound.font import FontPlayer
from bridge.sound.kit import RATE, Kit
from bridge.sound.mixer import Hit, Mixer
from bridge.sound.timbres import TIMBRES
from engines.errors import SidemanError
from engines.notes.roles import ROLES


@pytest.fixture(scope="module")
def kit():
    return Kit()


def rendered(kit, hits, frames, block=512):
    mixer = Mixer(kit)
    for hit in hits:
        mixer.add(hit)
    return np.concatenate([mixer.render(min(block, frames - at)) for at in range(0, frames, block)])


@pytest.mark.parametrize("role", [role for role in ROLES if role.programs], ids=lambda role: role.name)
def test_every_seat_sounds_at_its_pitch_until_it_is_let_go(kit, role):
    held = RATE
    samples = rendered(kit, [Hit(0, 69, 100, role.channel), Hit(held, 69, 0, role.channel)], 2 * RATE)
    peak = int(np.abs(np.fft.rfft(samples[:held, 0], RATE)).argmax())
    assert min(abs(peak - 440 * partial) for partial in (1, 2, 3, 4)) <= 3
    assert not samples[held + round(TIMBRES[role.name].release_s * RATE) + 1 :].any()
    assert 0.01 < np.abs(samples).max() < 0.7


def test_the_seats_are_told_apart(kit):
    sounds = {role.name: rendered(kit, [Hit(0, 60, 100, role.channel)], RATE // 2) for role in ROLES if role.programs}
    names = list(sounds)
    for i, name in enumerate(names):
        for other in names[i + 1 :]:
            a, b = sounds[name].ravel(), sounds[other].ravel()
            assert abs(float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))) < 0.98, (name, other)


def test_a_key_let_go_on_one_channel_holds_on_another(kit):
    bass, organ = Hit(0, 48, 100, 5), Hit(0, 48, 100, 3)
    off = Hit(RATE // 4, 48, 0, 5)
    both = rendered(kit, [bass, organ, off], RATE)
    assert np.allclose(both[RATE // 2 :], rendered(kit, [organ], RATE)[RATE // 2 :], atol=1e-6)
    assert np.abs(both[RATE // 2 :]).max() > 0.01


def test_no_partial_lies_above_what_the_rate_can_hold(kit):
    samples = rendered(kit, [Hit(0, 120, 127, 6)], RATE // 2)
    spectrum = np.abs(np.fft.rfft(samples[:, 0] * np.hanning(len(samples))))
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    first = 440.0 * 2 ** ((120 - 69) / 12)
    off_partials = np.min(np.abs(hz[:, None] - first * np.arange(1, 4)), axis=1) > 200
    assert spectrum[off_partials].max() < 0.02 * spectrum.max()


def test_a_sound_font_plays_each_channel_with_its_seats_program_or_the_sets():
    fonts = sorted(Path("/usr/share/sounds/sf2").glob("*.sf2"))
    if not fonts:
        pytest.skip("there is no General MIDI sound font in /usr/share/sounds/sf2")

    def sound(channel, **programs):
        try:
            player = FontPlayer(str(fonts[-1]), RATE, 0, **programs)
        except SidemanError as error:
            pytest.skip(str(error))
        player.add(Hit(0, 60, 100, channel))
        mix = np.zeros((RATE // 4, 2), np.float32)
        player.render_into(mix)
        return mix

    piano, bass = sound(1), sound(5)
    assert np.abs(piano - bass).max() > 0.05
    assert np.array_equal(sound(5, programs={5: 0}), piano)
