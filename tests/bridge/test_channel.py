"""Channels between two ends of one process: order, bounds, and what is seen of the other side's death."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.channel import MESSAGE_BYTES_MAX, Channel, ChannelClosedError, pair
from bridge.messages.message import Trouble
from bridge.messages.stage import Stop, Tempo, ToStage


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    mine, theirs = pair()
    one, other = Channel(mine, ToStage), Channel(theirs, ToStage)
    yield one, other
    one.close()
    other.close()


def test_messages_arrive_in_order_and_waiting_ends_when_there_are_none(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    assert not other.wait(0.0)
    one.send(Tempo(90_000))
    one.send(Stop())
    assert other.wait(5.0)
    assert other.receive() == [Tempo(90_000), Stop()]
    assert other.receive() == []


def test_what_was_sent_before_the_end_is_received_before_it_is_told(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.send(Stop())
    one.close()
    assert other.receive() == [Stop()]
    with pytest.raises(ChannelClosedError):
        other.receive()


def test_who_hears_no_more_still_gets_what_had_arrived(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.send(Tempo(90_000))
    other.hear_no_more()
    assert other.wait(5.0)
    assert other.receive() == [Tempo(90_000)]
    with pytest.raises(ChannelClosedError):
        other.receive()


def test_sending_never_blocks_and_nothing_is_lost(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    count = 20_000
    for tempo in range(count):
        one.send(Tempo(tempo))
    assert one.waiting
    received = []
    while len(received) < count:
        received += other.receive()
        one.flush()
    assert received == [Tempo(tempo) for tempo in range(count)]


@pytest.mark.parametrize("data", [b"\x03\x00\x00\x00abc", (MESSAGE_BYTES_MAX + 1).to_bytes(4, "little")])
def test_what_is_no_message_ends_the_channel(data: bytes) -> None:
    mine, theirs = pair()
    channel = Channel(theirs, ToStage)
    mine.sendall(data)
    with pytest.raises(ChannelClosedError):
        channel.receive()
    mine.close()
    channel.close()


def test_a_message_that_may_not_come_this_way_ends_the_channel(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.send(Trouble("not for the stage"))
    with pytest.raises(ChannelClosedError):
        other.receive()
