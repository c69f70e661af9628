import math

import pytest

from engines.errors import SidemanError
from engines.parameter import Parameter, Parameters

TEMPERATURE = Parameter(name="temperature", kind="float", default=1.0, high=2.0)
EVERY = Parameter(name="every", kind="int", default=0, high=64, unit="bars")
STYLE = Parameter(name="style", kind="choice", default="any", choices=("any", "funk"))
PROMPT = Parameter(name="prompt", kind="text", default="", high=24)
MUTE = Parameter(name="kick_mute", kind="bool", default=False)


@pytest.mark.parametrize(
    ("parameter", "given", "stored"),
    [
        (TEMPERATURE, 1, 1.0),
        (TEMPERATURE, "0.5", 0.5),
        (TEMPERATURE, 2.0, 2.0),
        (EVERY, 8.0, 8),
        (EVERY, "8", 8),
        (STYLE, "funk", "funk"),
        (STYLE, " Funk", "funk"),
        (MUTE, 1, True),
        (MUTE, 0.0, False),
        (MUTE, "on", True),
        (PROMPT, "  warm house, 120 bpm ", "warm house, 120 bpm"),
        (PROMPT, "", ""),
        (PROMPT, "é" * 24, "é" * 24),
    ],
)
def test_a_value_is_stored_in_the_parameters_own_type(parameter: Parameter, given: object, stored: object) -> None:
    value = parameter.check(given)
    assert value == stored
    assert type(value) is type(stored)


@pytest.mark.parametrize(
    ("parameter", "given"),
    [
        (TEMPERATURE, math.nan),
        (TEMPERATURE, math.inf),
        (TEMPERATURE, -0.1),
        (TEMPERATURE, 2.1),
        (TEMPERATURE, "warm"),
        (TEMPERATURE, b"\x00" * 65536),
        (TEMPERATURE, None),
        (EVERY, 1.5),
        (STYLE, "polka"),
        (STYLE, 1),
        (MUTE, 2),
        (PROMPT, "é" * 25),
        (PROMPT, "a\nb"),
        (PROMPT, "\x1b[2J"),
        (PROMPT, "half \ud83d of one"),
        (PROMPT, 7),
    ],
)
def test_what_it_cannot_take_is_refused_by_name_and_range(parameter: Parameter, given: object) -> None:
    with pytest.raises(SidemanError) as caught:
        parameter.check(given)
    message = str(caught.value)
    assert message.startswith(f"{parameter.name} takes {parameter.takes}")
    assert len(message) < 200


def test_of_long_lists_of_words_the_nearest_is_offered_and_case_counts_where_it_tells_two_apart() -> None:
    chord = Parameter(name="chord", kind="choice", default="C", choices=("free", "heard", "C", "Cm", "CM", "C7"))
    assert [chord.check(word) for word in ("cm7"[:1], "CM", "Cm", "Heard")] == ["C", "CM", "Cm", "heard"]
    for word, says in (("cM", "not 'cM'"), ("herd", "not 'herd'; did you mean heard?")):
        with pytest.raises(SidemanError) as caught:
            chord.check(word)
        assert str(caught.value).startswith("chord takes one of free, heard, C, Cm, CM, C7, ")
        assert says in str(caught.value)


def test_a_refused_value_changes_nothing() -> None:
    parameters = Parameters([TEMPERATURE, STYLE])
    parameters.set("temperature", 0.7)
    with pytest.raises(SidemanError):
        parameters.set("temperature", 9)
    with pytest.raises(SidemanError, match="there are temperature, style"):
        parameters.set("tempratur", 1)
    assert parameters.snapshot() == {"temperature": 0.7, "style": "any"}


def test_a_snapshot_does_not_follow_later_changes() -> None:
    parameters = Parameters([TEMPERATURE])
    before = parameters.snapshot()
    parameters.set("temperature", 0.1)
    assert before == {"temperature": 1.0}
