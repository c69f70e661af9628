"""The clock of a sound device: drift found by regression, corrected below 200 ppm, and no bend without a reason."""

import random

import pytest

from bridge.sound.clock import BEND_MAX_PPB, ClockPiece, Earliest, FrameClock, Steering

RATE, BLOCK = 48_000, 512
START_NS = 7_000_000_000_000


class Device:
    """A device that counts frames `ppm` too slowly, whose callback comes late by some of a millisecond, or by ten."""

    def __init__(self, ppm: float, seed: int = 1) -> None:
        self._ns_per_frame = 1e9 / RATE * (1 + ppm / 1e6)
        self._random = random.Random(seed)
        self.frame = 0
        self.lost_frames = 0

    def heard_ns(self, frame: float) -> float:
        """When a frame is really heard; frames that were lost make all later ones later."""
        return START_NS + (frame + self.lost_frames) * self._ns_per_frame

    def callback(self) -> tuple[int, int]:
        frame, self.frame = self.frame, self.frame + BLOCK
        late_ns = self._random.expovariate(1 / 300_000) + (10_000_000 if self._random.random() < 0.002 else 0)
        return frame, round(self.heard_ns(frame) + late_ns)


def played(device: Device, minutes: float, lose_at_s: float | None = None):
    """(seconds, error in ns) at the end of each second, and the bends used."""
    earliest, steering = Earliest(RATE), Steering(RATE, *device.callback())
    errors, bends = [], []
    for _ in range(round(minutes * 60 * RATE / BLOCK)):
        if lose_at_s is not None and device.frame / RATE > lose_at_s:
            device.lost_frames, lose_at_s = 4 * BLOCK, None
        pair = earliest.observe(*device.callback())
        if pair:
            steering.observe(*pair)
            piece = steering.steer(device.frame + RATE // 10)
            if piece:
                bends.append(piece.bend_ppb)
            error_ns = steering.clock.ns_since(device.frame, START_NS) - (device.heard_ns(device.frame) - START_NS)
            errors.append((device.frame / RATE, error_ns))
    return errors, bends, steering


@pytest.mark.parametrize(("ppm", "minutes"), [(100, 30), (-180, 4), (30, 4)])
def test_a_device_that_is_off_stays_within_a_millisecond(ppm, minutes):
    errors, bends, steering = played(Device(ppm), minutes)
    assert len(errors) > minutes * 55
    assert max(abs(error) for _, error in errors) < 1_000_000
    assert max(abs(error) for at_s, error in errors if at_s > 60) < 200_000
    assert max(abs(bend) for bend in bends) <= BEND_MAX_PPB < 200_000
    assert steering.measured_ppb == pytest.approx(ppm * 1_000, abs=2_000)


def test_without_steering_it_would_be_a_fifth_of_a_second_off():
    device = Device(100)
    straight = FrameClock(RATE, (ClockPiece(0, START_NS),))
    frame = 30 * 60 * RATE
    assert abs(straight.ns_since(frame, START_NS) - (device.heard_ns(frame) - START_NS)) > 179_000_000


def test_a_device_that_agrees_with_our_clock_is_never_bent():
    _, bends, steering = played(Device(0.2), 10)
    assert bends == []
    assert steering.clock.pieces[0].bend_ppb == 0


def test_frames_that_a_device_lost_are_a_jump_and_no_drift():
    errors, _, steering = played(Device(20), 3, lose_at_s=60.0)
    late = [abs(error) for at_s, error in errors if at_s > 61]
    assert max(late) < 1_000_000
    assert max(abs(error) for _, error in errors) > 10_000_000  # it was there
    assert abs(steering.measured_ppb - 20_000) < 3_000


def test_one_late_second_is_no_jump():
    steering = Steering(RATE, 0, START_NS)
    for second in range(1, 20):
        late_ns = 30_000_000 if second == 12 else 0
        steering.observe(second * RATE, START_NS + second * 1_000_000_000 + late_ns)
        assert steering.steer(second * RATE + 4_800) is None


def test_the_map_and_its_inverse_agree():
    clock = FrameClock(RATE, (ClockPiece(0, START_NS, 0),)).and_then(ClockPiece(RATE, START_NS + 10**9, 150_000))
    for frame in (0, 1, 47_999, 48_000, 48_001, 5_000_000):
        assert clock.frame_at(START_NS + clock.ns_since(frame, START_NS)) == pytest.approx(frame, abs=2e-4)
    assert clock.bend(48_000) == pytest.approx(1.00015)
    assert clock.next_change(0) == RATE
    assert clock.next_change(RATE) is None
    assert clock.jumps() == ()
    assert clock.and_then(ClockPiece(2 * RATE, START_NS + 3 * 10**9)).jumps() == (2 * RATE,)
