import pytest

from engines.errors import SidemanError
from engines.music import DRUM_OF_PITCH, DRUMS, Meter, Note, Phrase


@pytest.mark.parametrize(
    ("text", "steps", "bar_ticks"),
    [("4/4", 16, 3840), ("2/4", 8, 1920), ("3/4", 12, 2880), ("6/8", 12, 2880), ("7/8", 14, 3360), ("5/4", 20, 4800)],
)
def test_a_metre_counts_its_sixteenths_and_ticks(text: str, steps: int, bar_ticks: int) -> None:
    meter = Meter.parse(text)
    assert (meter.steps, meter.bar_ticks, str(meter)) == (steps, bar_ticks, text)


@pytest.mark.parametrize("text", ["", "4", "4/", "/4", "4/3", "0/4", "33/4", "-4/4", "4/4/4", "four/4", "٣/٤x"])
def test_what_is_no_metre_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(SidemanError, match="not a metre"):
        Meter.parse(text)


def test_every_pitch_belongs_to_one_drum_and_each_drum_plays_a_pitch_of_its_own() -> None:
    assert len(DRUM_OF_PITCH) == sum(len(drum.pitches) for drum in DRUMS)
    assert [DRUM_OF_PITCH[drum.pitch] for drum in DRUMS] == list(range(9))


def test_a_phrase_sorts_its_notes_and_checks_them() -> None:
    phrase = Phrase.of(3840, [Note(960, 38, 90, 120), Note(0, 36, 100, 120)])
    assert [note.tick for note in phrase.notes] == [0, 960]
    phrase.check()


@pytest.mark.parametrize(
    "note", [Note(3840, 36, 90, 1), Note(-121, 36, 90, 1), Note(0, 128, 90, 1), Note(0, 36, 0, 1), Note(0, 36, 90, 0)]
)
def test_a_note_outside_its_span_or_of_no_midi_is_found(note: Note) -> None:
    with pytest.raises(ValueError, match="note"):
        Phrase.of(3840, [note]).check()
