"""``python -m torture.gate_fuzz``: bytes that nobody should send, by the million, through what reads them first.

That is: a guest's frames at the gate, and each event in them; a gate's frames at a guest; the line of an invitation.
Whatever comes is understood or refused by the one error that is meant for it. What is understood keeps promises: no
guest sees an event below their floor, and an event that is let through is a message of that guest's to every reader.

``--guided`` has the package atheris choose inputs by what they reach, if it is installed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from streamcli.errors import UsageError
from streamcli.gate.event_check import KINDS, MAX_EVENT_BYTES, refusal
from streamcli.gate.floor import above
from streamcli.gate.guest_frames import GuestFrames, Misbehaves, life_of, start_of, write_of
from streamcli.gate.ring import Ring
from streamcli.log.api import Event
from streamcli.log.frames import (
    Frame,
    Received,
    Splitter,
    pack,
    pack_count,
    pack_events,
    pack_json,
    pack_writes,
    split_events,
)
from streamcli.log.gate import gate_frames
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.fingerprint import fingerprint
from streamcli.model.invitation import Invitation, parse_invitation
from streamcli.model.message import Unreadable, decode
from streamcli.model.segment import is_offset, is_segment_name
from torture import fuzz
from torture.fuzz import check_drawn

SEEDS: Final = Path(__file__).resolve().parent.parent / "tests" / "gate_seeds"
COUNT: Final = 1_000_000
GUEST: Final = "tim"
LOG: Final = "log-1"
SEGMENT: Final = f"{LOG}#0"
SIZE: Final = 100  # bytes of each event in the log, with its head
EVENTS: Final = [Event(at, at + SIZE, b"%092d" % at) for at in range(0, 20 * SIZE, SIZE)]
FLOOR: Final = Cursor(LOG, {SEGMENT: 10 * SIZE})
_NUMBERS: Final = (0, 1, 5 * SIZE, 10 * SIZE, 10 * SIZE - 1, 20 * SIZE, -1, 1 << 31, 1 << 63, 0.5, 1e308, True, None)
_NAMES: Final = (SEGMENT, "log-1#1", "log-1", "#", "", "log-1#-1", "log-1#00", "log-1#" + "9" * 19, "log-2#0", "a\0#0")
_OFFSETS: Final = (0, 50, 100, 200, (1 << 63) - 9, (1 << 64) - 1)
_PIECES: Final = (b"\0", b"\xff", b'"', b"[" * 50, b"}", b"\\u", b"NaN", b"9" * 30, b"\n", b"%41")
_TEXTS: Final = ("connected", "waiting", "denied", "words", "\x1b[2J", "\ud800", "x" * 2000, "")
_WORDS: Final[tuple[Any, ...]] = (*_TEXTS, 7, None, [], {})


def _ring() -> Ring:
    ring = Ring()
    ring.opened(LogOpened.one(LOG, 0, 0))
    for at in range(0, len(EVENTS), 4):
        ring.add(SEGMENT, EVENTS[at : at + 4])
    return ring


RING: Final = _ring()


def guest_says(data: bytes) -> str:
    """A guest's frames, in pieces; return what became of them."""
    frames, half = GuestFrames(), len(data) // 2
    try:
        received = frames.feed(data[:half]) + frames.feed(data[half:])
        for number, frame in enumerate(received):
            if number == 0:
                start = start_of(frame)
                if start.read is not None:
                    _serve(start.read)
            elif frame.kind is Frame.WRITE:
                check_event(*write_of(frame.payload))
            elif frame.kind is Frame.WRITING:
                assert 0 <= life_of(frame.payload) < 1 << 32
    except Misbehaves:
        return "refused"
    return "understood" if received else "incomplete"


def _serve(asked: Cursor) -> None:
    """Serve somebody who may not read what is older than the floor."""
    assert all(is_segment_name(name) and is_offset(at) for name, at in asked.offsets.items())
    cursor = above(FLOOR, asked, LOG)
    if not (RING.follows(cursor) and RING.is_there(cursor)):
        json.dumps({"offsets": dict(cursor.offsets), "last": cursor.last and cursor.last[2].hex()})  # for a worker
        return
    number, offsets = RING.begin, list[int]()
    while True:
        number, frame, cursor = RING.after(number, cursor)
        if not frame:
            break
        offsets += [offset for offset, _ in split_events(frame)]
    assert all(offset >= FLOOR.at(SEGMENT) for offset in offsets), "an event below the floor was shown"


def check_event(key: str, data: bytes) -> str:
    """An event of a guest's; return why it is refused."""
    words = refusal(GUEST, key, data)
    if not words:
        message = decode(data, 0)
        assert not isinstance(message, Unreadable), "what is let through is unreadable"
        raw = json.loads(data)
        assert message.sender == GUEST and message.kind in KINDS and len(data) <= MAX_EVENT_BYTES
        assert (message.message, message.id, message.kind) == (raw["message"], raw["id"], raw["kind"])
        assert 1 <= len(key) <= 64
    return words


def event_comes(data: bytes) -> str:
    """An event of a guest's, without a frame around it."""
    return "refused" if check_event("lobby", data) else "understood"


def gate_says(data: bytes) -> str:
    """A gate's frames."""
    understood = 0
    try:
        for frame in Splitter().feed(data):
            _understand(frame)
            understood += 1
    except ValueError:
        return "refused"
    return "understood" if understood else "incomplete"


def _understand(frame: Received) -> None:
    kind = frame.kind
    if kind is Frame.WELCOME:
        assert all(host and 0 < port < 65_536 for host, port in gate_frames.places_of(frame))
    elif kind in (Frame.STATUS, Frame.FAILED, Frame.REJECTED):
        words = (
            gate_frames.status_of(frame).words
            if kind is Frame.STATUS
            else gate_frames.failure_of(frame).words
            if kind is Frame.FAILED
            else gate_frames.rejection_of(frame)
        )
        check_drawn(words)
        assert "\n" not in words and len(words) <= 300
    elif kind is Frame.WRITABLE:
        pack_count(Frame.WRITING, gate_frames.writable_of(frame)[1])
    elif kind is Frame.WRITTEN:
        assert gate_frames.count_of(frame) >= 0
    elif kind is Frame.OPENED:
        opened = gate_frames.opened_of(frame)
        assert Cursor().opened_at(opened).offsets == opened.starts
        opened.share(Cursor())
    elif kind is Frame.EVENTS:
        segment, batch = gate_frames.events_of(frame, LOG)
        assert is_segment_name(segment) and batch == sorted(batch)


def line_comes(data: bytes) -> str:
    """A line that somebody takes for an invitation."""
    text = data.decode("utf-8", "replace")
    try:
        invitation = parse_invitation(text)
    except UsageError:
        return "refused"
    assert invitation.line.lower() in "".join(text.split()).lower()
    assert parse_invitation(invitation.line) == invitation and 0 < invitation.port < 65_536
    return "understood"


TARGETS: Final[tuple[Callable[[bytes], str], ...]] = (guest_says, event_comes, gate_says, line_comes)


def seeds() -> list[tuple[int, bytes]]:
    """The inputs that are kept: a file each, whose name begins with the number of its target."""
    return [(int(path.name[0]), path.read_bytes()) for path in sorted(SEEDS.glob("[0-9]-*"))]


def inputs(seed: int, count: int) -> Iterator[tuple[int, bytes]]:
    """So many inputs and their targets, the same ones for the same seed."""
    chance = random.Random(f"gate {seed}")
    kept = [[data for target, data in seeds() if target == number] for number in range(len(TARGETS))]
    strange = fuzz.events(seed, 2 * count)
    for number in range(count):
        target = number % len(TARGETS)
        data = _made(target, chance, strange) if chance.random() < 0.5 else chance.choice(kept[target])
        for _ in range(chance.choice((0, 0, 1, 1, 2, 5))):
            data = _changed(chance, data, kept[target])
        yield target, data


def _made(target: int, chance: random.Random, strange: Iterator[bytes]) -> bytes:
    if target == 0:
        start = pack_json(Frame.START, version=chance.choice((1, 1, 1, 2)), read=_cursor(chance), write=True)
        return start + b"".join(_guests_frame(chance, strange) for _ in range(chance.randrange(4)))
    if target == 1:
        event = next(strange)
        return event.replace(b'"alex"', b'"tim"') if chance.random() < 0.7 else _own(chance)
    if target == 2:
        return b"".join(_gates_frame(chance) for _ in range(chance.randrange(1, 4)))
    hosts = tuple(chance.choice(("192.0.2.1", "::1", "chat.example.org", "")) for _ in range(chance.randrange(1, 4)))
    name = chance.choice(("alex", "a b", "j\u00fcrgen", "al/ex@", "", "\u200b", "x" * 65))
    port = chance.choice((4483, 1, 0, 65_536, -1))
    line = Invitation(name, hosts, port, chance.randbytes(16), chance.randbytes(16)).line
    return (chance.choice(("", "streamcli join ", " \n")) + chance.choice((line, line.upper()))).encode()


def _cursor(chance: random.Random) -> Any:
    if chance.random() < 0.1:
        return chance.choice((None, [], {}, 7, "x"))
    offsets = {chance.choice(_NAMES): chance.choice(_NUMBERS) for _ in range(chance.choice((0, 1, 1, 2)))}
    event = chance.choice(EVENTS)
    places = (
        (SEGMENT, event.offset, fingerprint(event.data).hex()),
        (chance.choice(_NAMES), chance.choice(_NUMBERS), "00"),
    )
    last = chance.choice((None, None, *places, [], ["x"], 7))
    return {"log": chance.choice((LOG, LOG, "log-2", "", 7)), "offsets": offsets, "last": last}


def _guests_frame(chance: random.Random, strange: Iterator[bytes]) -> bytes:
    kind = chance.choice((Frame.WRITE, Frame.WRITE, Frame.WRITING, Frame.TAKEN, *Frame))
    if kind is Frame.WRITE:
        return pack_writes(chance.choice(("lobby", "", "k" * 70)), [next(strange)[:60_000]])
    if kind is Frame.WRITING:
        return pack_count(kind, chance.choice((0, 1, 2, (1 << 32) - 1)))
    return pack(kind, chance.choice((b"", b"", b"\0", b"{}")))


def _own(chance: random.Random) -> bytes:
    event: dict[str, Any] = {
        "sender": GUEST,
        "message": chance.choice(_WORDS),
        "id": chance.choice(("1", "", 7)),
        "kind": "chat",
    }
    event[chance.choice(("more", "room", "v", "sent_at", "kind"))] = chance.choice((*_WORDS, *_NUMBERS))
    return json.dumps(event, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


def _gates_frame(chance: random.Random) -> bytes:
    kind = chance.choice(list(Frame))
    if kind is Frame.EVENTS:
        pairs = [
            (chance.choice((0, 50, 100, 200, (1 << 63) - 9, (1 << 64) - 1)), b"x" * chance.randrange(50)) for _ in "ab"
        ]
        return pack_events(pairs[: chance.randrange(3)], chance.choice((0, 1, 1 << 63)))
    if kind is Frame.WRITTEN:
        return pack_count(kind, chance.choice((0, 1, (1 << 32) - 1)))
    starts, tails = ({chance.choice(_NAMES): chance.choice(_NUMBERS) for _ in range(chance.randrange(3))} for _ in "ab")
    fields = {
        "places": [[chance.choice(("h", "", 7)), chance.choice((4483, *_NUMBERS))] for _ in range(chance.randrange(3))],
        **{name: chance.choice(_WORDS) for name in ("phase", "words", "kind", "text", "name", "owner")},
        "log": chance.choice((LOG, "", 7)),
        "life": chance.choice(_NUMBERS),
        "segments": chance.choice((1, 2, *_NUMBERS)),
        "starts": chance.choice((starts, [])),
        "tails": chance.choice((tails, None)),
    }
    for _ in range(chance.choice((0, 0, 1, 5))):
        fields.pop(chance.choice(list(fields)))
    return pack_json(kind, **fields)


def _changed(chance: random.Random, data: bytes, kept: list[bytes]) -> bytes:
    changed, at = bytearray(data), chance.randrange(len(data) + 1)
    do = chance.random()
    if do < 0.4 and data:
        changed[at % len(data)] = chance.randrange(256)
    elif do < 0.6:
        del changed[at : at + chance.choice((1, 1, 4, 30))]
    elif do < 0.8:
        changed[at:at] = chance.choice(
            (b"\0", b"\xff", b'"', b"[" * 50, b"}", b"\\u", b"NaN", b"9" * 30, b"\n", b"%41")
        )
    else:
        other = chance.choice(kept)
        changed[at:] = other[chance.randrange(len(other) + 1) :]
    return bytes(changed)


def run(seed: int, count: int) -> Counter[str]:
    """Send so many inputs through their targets; return how many became what. An input that fails is printed."""
    found: Counter[str] = Counter()
    for target, data in inputs(seed, count):
        try:
            found[f"{TARGETS[target].__name__} {TARGETS[target](data)}"] += 1
        except BaseException:
            print(f"{TARGETS[target].__name__} fails; its seed: {target}-…, {data!r}", file=sys.stderr)
            raise
    return found


def _guided(target: int, count: int, corpus: Path) -> None:
    import atheris  # not a requirement: it exists for few Pythons

    atheris.instrument_all()
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(data for one, data in seeds() if one == target):
        (corpus / f"seed-{number}").write_bytes(data)
    atheris.Setup([sys.argv[0], f"-runs={count}", "-max_len=70000", str(corpus)], lambda data: TARGETS[target](data))
    atheris.Fuzz()


def main() -> int:
    """Fuzz, and print figures."""
    parser = argparse.ArgumentParser(prog="python -m torture.gate_fuzz", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--guided", type=int, choices=range(len(TARGETS)), metavar="TARGET", help="use atheris")
    parser.add_argument("--corpus", type=Path, default=Path("build/gate_corpus"), help="where atheris keeps inputs")
    options = parser.parse_args()
    if options.guided is not None:
        _guided(options.guided, options.count, options.corpus / str(options.guided))
        return 0
    begun = time.monotonic()
    found = run(options.seed, options.count)
    for what, number in sorted(found.items()):
        print(f"{what:<24} {number:>9,}")
    seconds = time.monotonic() - begun
    print(f"{options.count:,} inputs, seed {options.seed}, {seconds:.0f} s, no failure")
    return 0


if __name__ == "__main__":
    sys.exit(main())
