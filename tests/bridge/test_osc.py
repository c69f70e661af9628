"""The OSC door on a real socket, the leases of its clients on a clock of their own, and what goes over the wire."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.control.clients import ERRORS_AT_ONCE, LEASE_S, Clients
from bridge.control.osc import MESSAGES_PER_WAKE, OscDoor
from bridge.control.surface import Node, Surface
from bridge.control.wire import PACKET_BYTES_MAX, bar_packets, encode, parse, part_packets, span_packets
from bridge.players.grid import BarSpan
from engines.errors import SidemanError
from engines.music import Meter, Note, Phrase
from engines.notes.roles import CHANNELS, ROLE_NAMED, ROLES


def message(address: str, *arguments: Any) -> bytes:
    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(argument)
    return builder.build().dgram


def _number(value: Any) -> float:
    if not isinstance(value, float):
        raise SidemanError("not a number")
    return value


class Scene:
    """A door before a surface with a value and a verb, and a client's socket; or another client before a door."""

    def __init__(self, beside: Scene | None = None) -> None:
        self.set: list[float] = []
        self.more = asyncio.Event()
        self.done: list[tuple[Any, ...]] = []
        self.surface = Surface()
        self.surface.replace(
            (
                Node(
                    "/sideman/x/value",
                    "a number",
                    get=lambda: (self.set[-1],),
                    set=self._store,
                ),
                Node("/sideman/x/verb", "nothing", act=self.done.append),
            )
        )
        self.door: OscDoor = OscDoor(self.surface, 0, lan=False) if beside is None else beside.door
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.bind(("127.0.0.1", 0))
        self.client.setblocking(False)

    def _store(self, value: Any) -> None:
        self.set.append(_number(value))
        self.more.set()

    def send(self, *packets: bytes) -> None:
        for packet in packets:
            self.client.sendto(packet, ("127.0.0.1", self.door.port))

    async def receive(self) -> tuple[str, list[Any]]:
        async with asyncio.timeout(10):
            data = await asyncio.get_running_loop().sock_recv(self.client, 1 << 16)
        received = OscMessage(data)
        return received.address, list(received.params)

    async def settle(self) -> None:
        """Until the door has read what was sent: an answer comes after what came before it."""
        self.send(message("/sideman/system/subscribe"))
        while (await self.receive())[0] != "/sideman/system/subscribe":
            pass


def act(scene: Callable[[Scene], Coroutine[None, None, None]]) -> Scene:
    async def session() -> Scene:
        stage = Scene()
        stage.door.open()
        try:
            await scene(stage)
        finally:
            stage.door.close()
            stage.door.close()
            stage.client.close()
        return stage

    return asyncio.run(session())


def test_the_last_of_many_values_counts_and_no_action_is_lost() -> None:
    async def scene(stage: Scene) -> None:
        for number in range(50):
            stage.send(message("/sideman/x/value", float(number)), message("/sideman/x/verb", 1))
        await stage.settle()

    stage = act(scene)
    assert stage.set[-1] == 49.0
    assert len(stage.set) <= 50 * 2 // MESSAGES_PER_WAKE + 2
    assert stage.done == [(1,)] * 50


def test_a_bad_value_takes_nothing_from_the_good_one_before_it() -> None:
    async def scene(stage: Scene) -> None:
        stage.send(
            message("/sideman/x/value", 0.25), message("/sideman/x/value", 0.5), message("/sideman/x/value", "x")
        )
        await stage.settle()

    assert act(scene).set == [0.5]


def test_a_question_is_answered_with_what_was_set_before_it() -> None:
    async def scene(stage: Scene) -> None:
        stage.send(message("/sideman/x/value", 0.5), message("/sideman/x/value"), message("/sideman/x/value", 0.75))
        assert await stage.receive() == ("/sideman/x/value", [0.5])
        await stage.settle()

    assert act(scene).set == [0.5, 0.75]


def test_a_question_is_answered_where_the_client_hears() -> None:
    async def scene(stage: Scene) -> None:
        stage.send(message("/sideman/x/value", 0.5), message("/sideman/x/value"))
        assert await stage.receive() == ("/sideman/x/value", [0.5])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
            ear.bind(("127.0.0.1", 0))
            ear.settimeout(5)
            stage.send(message("/sideman/system/subscribe", ear.getsockname()[1]), message("/sideman/x/value"))
            await asyncio.sleep(0)
            got = [await asyncio.to_thread(ear.recv, 2000) for _ in range(2)]
        assert [OscMessage(data).address for data in got] == ["/sideman/system/subscribe", "/sideman/x/value"]

    act(scene)


def test_events_go_to_those_who_want_them_and_a_bar_comes_in_numbered_parts() -> None:
    async def scene(stage: Scene) -> None:
        stage.send(message("/sideman/system/subscribe", "/sideman/x/*"))
        await stage.receive()
        stage.door.broadcast("/sideman/y/state", (1, "hit"))
        stage.door.broadcast("/sideman/x/state", (1, "hit"))
        assert await stage.receive() == ("/sideman/x/state", [1, "hit"])
        notes = tuple(Note(tick, 36, 100, 10) for tick in range(100))
        stage.door.broadcast_bar("x", BarSpan(7, 0, Meter()), Phrase(3840, notes))
        parts = [(await stage.receive())[1] for _ in range(2)]
        assert [part[:3] for part in parts] == [[7, 1, 2], [7, 2, 2]]
        assert [part[i] for part in parts for i in range(3, len(part), 4)] == list(range(100))
        stage.send(
            message("/sideman/system/unsubscribe"), message("/sideman/x/value", 2.0), message("/sideman/x/value")
        )
        await stage.receive()
        assert stage.door.clients.targets() == ()

    act(scene)


def test_a_bar_of_several_parts_comes_as_ever_and_once_more_with_their_channels() -> None:
    async def scene(stage: Scene) -> None:
        stage.send(message("/sideman/system/subscribe", "/sideman/x/*"))
        await stage.receive()
        bass, keys = ROLE_NAMED["bass"] + 1, ROLE_NAMED["piano"] + 1
        notes = tuple(Note(tick, 60, 100, 60, bass if tick % 2 else keys) for tick in range(70))
        channels = tuple(2 if role.name == "bass" else role.channel for role in ROLES)
        stage.door.broadcast_bar("x", BarSpan(7, 0, Meter()), Phrase(3840, notes), channels)
        got = [await stage.receive() for _ in range(4)]
        assert [address for address, _ in got] == ["/sideman/x/bar"] * 2 + ["/sideman/x/parts"] * 2
        parts = [params for _, params in got[2:]]
        assert [part[:3] for part in parts] == [[7, 1, 2], [7, 2, 2]]
        assert [part[i] for part in parts for i in range(3, len(part), 5)] == list(range(70))
        assert [part[i] for part in parts for i in range(7, len(part), 5)] == [1, 2] * 35
        stage.door.broadcast_bar("x", BarSpan(8, 0, Meter()), Phrase(3840, (Note(0, 60, 100, 60),)))
        assert (await stage.receive())[0] == "/sideman/x/bar"
        stage.send(message("/sideman/system/subscribe"))
        assert (await stage.receive())[0] == "/sideman/system/subscribe", "without parts that was all"

    act(scene)


def test_a_timetag_is_waited_for() -> None:
    async def scene(stage: Scene) -> None:
        begun_s = time.time()
        for ahead_s, value in ((0.2, 2.0), (0.1, 1.0)):
            bundle = OscBundleBuilder(begun_s + ahead_s)  # type: ignore[arg-type]
            builder = OscMessageBuilder("/sideman/x/value")
            builder.add_arg(value)
            bundle.add_content(builder.build())
            stage.send(bundle.build().dgram)
        await stage.settle()
        assert stage.set == []
        async with asyncio.timeout(5):
            while len(stage.set) < 2:
                stage.more.clear()
                await stage.more.wait()
        assert stage.set == [1.0, 2.0]
        assert time.time() - begun_s >= 0.19
        late = OscBundleBuilder(begun_s + 86_400.0)  # type: ignore[arg-type]
        late.add_content(OscMessageBuilder("/sideman/x/verb").build())
        stage.send(late.build().dgram)
        address, (about, reason) = await stage.receive()
        assert (address, about) == ("/sideman/system/error", "/sideman/x/verb")
        assert "too far ahead" in reason

    assert act(scene).done == []


def test_garbage_is_answered_a_few_times_and_survived() -> None:
    dice = random.Random(1)
    garbage = [b"#reply", b"#bundle\0", b"/x", b"\0" * 64_000, encode("/sideman/x/value", ("x" * 300,))]
    garbage += [bytes(dice.randrange(256) for _ in range(dice.randrange(1, 80))) for _ in range(60)]
    garbage += [b"#bundle\0" + b"\0" * 7 + b"\1" + bytes(dice.randrange(256) for _ in range(40)) for _ in range(40)]
    nested = message("/sideman/x/verb")
    for _ in range(1200):
        nested = b"#bundle\0" + b"\0" * 7 + b"\1" + len(nested).to_bytes(4, "big") + nested
    garbage.append(nested)

    async def scene(stage: Scene) -> None:
        stage.send(*garbage)
        await stage.settle()
        stage.send(message("/sideman/x/value", 0.25), message("/sideman/x/value"))
        while (await stage.receive())[0] != "/sideman/x/value":
            pass

    assert act(scene).set[-1] == 0.25


def test_errors_name_the_address_and_are_rationed() -> None:
    async def scene(stage: Scene) -> None:
        stage.send(message("/sideman/x/valve", 1.0))
        address, (about, reason) = await stage.receive()
        assert (address, about) == ("/sideman/system/error", "/sideman/x/valve")
        assert reason == "there is no such address; did you mean /sideman/x/value?"
        stage.send(*[message("/nowhere", 1)] * 200)
        stage.send(message("/sideman/system/subscribe"))
        errors = 0
        while (await stage.receive())[0] == "/sideman/system/error":
            errors += 1
        assert ERRORS_AT_ONCE - 1 <= errors <= ERRORS_AT_ONCE + 20

    act(scene)


@pytest.mark.parametrize(
    "arguments",
    [(0,), (70_000,), ("drums",), (1.5,), (9000, "/a", 1), (9000, "/" + "*a" * 200), ("/x/" + "{a,b}" * 9,)],
)
def test_a_subscription_that_makes_no_sense_is_refused(arguments: tuple[Any, ...]) -> None:
    async def scene(stage: Scene) -> None:
        stage.send(message("/sideman/system/subscribe", *arguments))
        assert (await stage.receive())[0] == "/sideman/system/error"
        assert stage.door.clients.targets() == ()

    act(scene)


def test_a_taken_port_is_named_with_the_remedy() -> None:
    async def scene(stage: Scene) -> None:
        with pytest.raises(SidemanError, match=f"OSC port {stage.door.port} is taken; .* --osc-port"):
            OscDoor(Surface(), stage.door.port, lan=False).open()

    act(scene)


def test_a_lease_ends_unless_its_client_is_heard_of() -> None:
    now_s = [0.0]
    changes: list[int] = []
    clients = Clients(lambda: now_s[0], lambda: changes.append(1))
    clients.subscribe(("h", 1), 9000, "")
    clients.subscribe(("h", 2), 9001, "/sideman/drums/*")
    assert clients.target(("h", 1)) == ("h", 9000)
    assert clients.target(("h", 3)) == ("h", 3)
    assert clients.wanting("/sideman/bass/bar") == [("h", 9000)]
    now_s[0] = LEASE_S / 2
    clients.renew(("h", 2))
    assert clients.expire() == LEASE_S / 2
    now_s[0] = LEASE_S
    assert clients.expire() == LEASE_S / 2
    assert clients.targets() == (("h", 9001, "/sideman/drums/*"),)
    now_s[0] = 2 * LEASE_S
    assert clients.expire() is None
    assert len(changes) == 4


def test_a_client_that_comes_back_on_another_socket_takes_its_port_over() -> None:
    clients = Clients(lambda: 0.0, lambda: None)
    clients.subscribe(("h", 1), 9000, "")
    clients.subscribe(("h", 2), 9000, "/sideman/drums/bar")
    assert clients.targets() == (("h", 9000, "/sideman/drums/bar"),)
    clients.unsubscribe(("h", 5), 9000)
    assert clients.targets() == ()


def test_what_we_send_has_three_types_and_fits_a_packet() -> None:
    received = OscMessage(encode("/a", (True, 3, 1 << 40, 0.5, "words")))
    assert received.params == [1, 3, pytest.approx(float(1 << 40)), 0.5, "words"]
    notes = [Note(tick, 36, 100, 120) for tick in range(144)]
    packets = list(bar_packets("/sideman/a_player_with_a_rather_long_name/bar", 12, notes))
    assert all(len(packet) < PACKET_BYTES_MAX for packet in packets)
    assert OscMessage(next(bar_packets("/b", 3, []))).params == [3, 1, 1]
    packets = list(part_packets("/sideman/a_player_with_a_rather_long_name/parts", 12, notes, CHANNELS))
    assert all(len(packet) < PACKET_BYTES_MAX for packet in packets)
    for path in ("", "/" + "x" * 999):
        packets = list(span_packets("/sideman/a_player_with_a_rather_long_name/span", (12, 960, 480, path), notes[:70]))
        assert all(len(packet) < PACKET_BYTES_MAX for packet in packets)
        told = [OscMessage(packet).params for packet in packets]
        assert {tuple(params[:4]) for params in told} == {(12, 960, 480, path)}
        assert sum(len(params) - 6 for params in told) == 4 * 70
        assert [params[4] for params in told] == list(range(1, told[0][5] + 1))


def test_what_is_no_osc_is_one_error() -> None:
    with pytest.raises(SidemanError, match="6 bytes are no OSC message or bundle"):
        parse(b"#reply")


def test_a_value_that_another_has_set_is_told_to_everyone_else_once() -> None:
    async def scene(stage: Scene) -> None:
        other = Scene(beside=stage)
        try:
            await stage.settle()
            await other.settle()
            other.send(message("/sideman/x/value", 0.5))
            assert await stage.receive() == ("/sideman/x/value", [0.5])
            stage.surface.set("/sideman/x/value", 0.25)  # a key, or a controller: both are told
            assert await stage.receive() == ("/sideman/x/value", [0.25])
            assert await other.receive() == ("/sideman/x/value", [0.25])
            stage.send(message("/sideman/x/value", 0.25))  # a fader that was moved by what it was told: no news
            stage.send(*(message("/sideman/x/value", number / 64) for number in range(17, 33)))
            assert await other.receive() == ("/sideman/x/value", [0.5])  # many in a row are told as they are then
            stage.send(message("/sideman/x/value"))
            assert await stage.receive() == ("/sideman/x/value", [0.5])  # its own question, nothing before it
        finally:
            other.client.close()

    act(scene)
