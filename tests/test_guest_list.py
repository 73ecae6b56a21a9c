"""Who may come in: invitations are used once, by one key, in time, and no name looks like another."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamcli.errors import FileTrouble, NotPermitted, UsageError
from streamcli.gate.certificates import GateKeys, new_guest_key
from streamcli.gate.guest_list import AGAIN_WITHIN, UNKNOWN, Guest, GuestList, Invite
from streamcli.model.invitation import secret_hash
from streamcli.model.look_alikes import look_alike
from streamcli.system.clock import Clock
from tests.fake_clock import BEGINS, fake_clock

DAY = 86_400.0
SECRET, OTHER = b"a secret of alex", b"another secret"
FLOOR = {"log": "log-1", "offsets": {"log-1#0": 100}}
KEYS = 8  # processes that join at once


@pytest.fixture
def clock() -> Clock:
    return fake_clock()


@pytest.fixture
def guests(tmp_path: Path, clock: Clock) -> GuestList:
    return GuestList(tmp_path / "gate", clock)


def invite(guests: GuestList, name: str = "alex", secret: bytes = SECRET, lasts: float = DAY) -> None:
    guests.invite(name, secret, "owner", BEGINS + lasts, False)


def use(guests: GuestList, secret: bytes = SECRET, key: str = "a key", floor: dict[str, object] | None = None) -> Guest:
    return guests.use(secret, key, lambda invite: Guest(invite.name, f"of {key}", 1.0, "192.0.2.1", floor))


def is_refused(guests: GuestList, secret: bytes = SECRET, key: str = "a key") -> bool:
    before = guests.read()
    try:
        use(guests, secret, key)
    except NotPermitted as error:
        assert str(error) == UNKNOWN
        assert guests.read() == before, "who is refused changes nothing"
        return True
    return False


def test_an_invitation_lets_one_in(guests: GuestList) -> None:
    assert not guests.is_wanted()
    invite(guests)
    assert guests.is_wanted()
    assert use(guests) == Guest("alex", "of a key", 1.0, "192.0.2.1")
    found = guests.read().by_fingerprint("of a key")
    assert found and found.name == "alex"
    assert guests.read().by_fingerprint("") is None
    assert is_refused(guests, key="another key"), "whoever comes second with the same line"
    assert is_refused(guests, secret=OTHER)
    assert is_refused(guests, secret=b"")


def test_an_invitation_expires(guests: GuestList, clock: Clock) -> None:
    invite(guests)
    clock.sleep(DAY - 1)
    assert guests.read().waiting(clock.seconds())
    invite(guests, "mara", OTHER, 2 * DAY)
    clock.sleep(1)
    assert is_refused(guests)
    assert not is_refused(guests, OTHER)
    assert list(guests.read().invites) == [secret_hash(OTHER)], "what has expired is forgotten"


def test_an_expired_invitation_is_wanted_by_nobody(guests: GuestList, clock: Clock) -> None:
    invite(guests)
    clock.sleep(DAY)
    assert not guests.is_wanted()


def test_a_second_invitation_makes_the_first_void(guests: GuestList) -> None:
    invite(guests)
    invite(guests, secret=OTHER)
    assert is_refused(guests)
    assert not is_refused(guests, OTHER)


def test_whoever_is_removed_stays_out(guests: GuestList) -> None:
    invite(guests)
    assert guests.remove("alex")
    assert is_refused(guests)
    invite(guests, secret=OTHER)
    use(guests, OTHER)
    assert guests.remove("alex")
    assert guests.read().guests == {}
    assert is_refused(guests, OTHER), "not even with the same key"
    assert not guests.remove("alex")
    assert not guests.remove("mara")
    invite(guests)
    assert not is_refused(guests)


def test_a_join_that_was_cut_off_may_be_repeated_for_ten_minutes_with_the_same_key(
    guests: GuestList, clock: Clock
) -> None:
    invite(guests)
    use(guests)
    for _ in range(3):
        clock.sleep(AGAIN_WITHIN / 4)
        assert not is_refused(guests)
        assert is_refused(guests, key="another key")
    clock.sleep(AGAIN_WITHIN / 4)
    assert not is_refused(guests), "to the last moment"
    clock.sleep(0.001)
    assert is_refused(guests), "and it does not begin anew with each repetition"
    assert list(guests.read().guests) == ["alex"]
    assert guests.remove("alex")


def test_a_repeated_join_may_come_after_the_invitation_has_expired(guests: GuestList, clock: Clock) -> None:
    invite(guests, lasts=10)
    clock.sleep(9)
    use(guests)
    clock.sleep(AGAIN_WITHIN - 1)
    assert not is_refused(guests)


def test_a_repeated_join_moves_no_beginning(guests: GuestList) -> None:
    guests.invite("alex", SECRET, "owner", BEGINS + DAY, True)
    later = {"log": "log-1", "offsets": {"log-1#0": 900}}
    assert use(guests, floor=dict(FLOOR)).floor == FLOOR
    assert use(guests, floor=dict(later)).floor == FLOOR
    assert use(guests, floor=None).floor == FLOOR, "and certainly not away"
    assert guests.read().guests["alex"].floor == FLOOR
    guests.remove("alex")
    guests.invite("alex", OTHER, "owner", BEGINS + DAY, True)
    assert use(guests, OTHER, floor=dict(later)).floor == later, "who is invited anew begins anew"


def test_a_join_that_fails_leaves_the_invitation_as_it_is(guests: GuestList) -> None:
    invite(guests)

    def fails(invite: Invite) -> Guest:
        raise ValueError("no key")

    with pytest.raises(ValueError, match="no key"):
        guests.use(SECRET, "a key", fails)
    assert guests.read().guests == {}
    assert not is_refused(guests, key="another key")


TAKEN = [
    ("alex", "alex"),
    ("alex", "Alex"),
    ("alex", "ALEX"),
    ("alex", "ａｌｅｘ"),  # wide
    ("alex", "аlex"),  # Cyrillic
    ("alex", "АLЕХ"),
    ("alex", "аlех"),
    ("alex", "alex\ufe0f"),
    ("Zoé", "Zoé\u200d"),
    ("ﬁona", "fiona"),
    ("max", "rnax"),
    ("wim", "vvim"),
    ("Ivan", "lvan"),
    ("ivan", "Іvan"),  # Ukrainian
    ("bob", "b0b"),
    ("Wendy", "Ԝendy"),
    ("strasse", "straße"),
    ("Anna Maria", "AnnaMaria"),
    ("νikos", "vikos"),  # Greek
    ("ALEX", "AIEX"),
]
FREE = [("alex", "alec"), ("alex", "alexa"), ("alex", "axel"), ("Zoé", "Zoe"), ("алина", "алиса"), ("小明", "小红")]


@pytest.mark.parametrize(("one", "other"), TAKEN)
def test_a_name_that_looks_like_somebodys_is_taken(guests: GuestList, one: str, other: str) -> None:
    for taken, wanted in ((one, other), (other, one)):
        assert look_alike(taken, wanted)
        with pytest.raises(UsageError, match="in this chat already"):
            guests.invite(wanted, SECRET, taken, BEGINS + DAY, False)
    invite(guests, one)
    use(guests)
    with pytest.raises(UsageError, match="in this chat already"):
        invite(guests, other, OTHER)
    assert guests.read().invites.keys() == {secret_hash(SECRET)}


@pytest.mark.parametrize(("one", "other"), FREE)
def test_a_name_that_looks_otherwise_is_free(guests: GuestList, one: str, other: str) -> None:
    assert not look_alike(one, other) and not look_alike(other, one)
    invite(guests, one)
    use(guests)
    invite(guests, other, OTHER)
    use(guests, OTHER)
    assert set(guests.read().guests) == {one, other}


@pytest.mark.parametrize(("one", "other"), TAKEN)
def test_an_invitation_under_a_name_that_looks_the_same_makes_the_first_void(
    guests: GuestList, one: str, other: str
) -> None:
    invite(guests, one)
    invite(guests, other, OTHER)
    assert is_refused(guests)
    assert use(guests, OTHER).name == other


def test_the_file_holds_no_secret_and_is_its_owners(guests: GuestList, tmp_path: Path) -> None:
    invite(guests)
    use(guests, key=secret_hash(b"public key"))
    invite(guests, "mara", OTHER)
    file = tmp_path / "gate" / "guests.json"
    content = file.read_bytes()
    for secret in (SECRET, OTHER):
        assert secret not in content and secret.hex().encode() not in content
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


DAMAGED = [
    *("", "{", "[]", "{}", '{"guests": [], "invites": {}}'),
    *('{"guests": {"alex": {}}, "invites": {}}', '{"guests": {"alex": 1}, "invites": {}}'),
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_told_in_one_line_and_lets_nobody_in(guests: GuestList, tmp_path: Path, content: str) -> None:
    invite(guests)
    (tmp_path / "gate" / "guests.json").write_text(content)
    for ask in (guests.read, guests.is_wanted, lambda: use(guests), lambda: guests.remove("alex")):
        with pytest.raises(FileTrouble, match=r"guests\.json can't be used .*Remove it and invite anew\.") as error:
            ask()
        assert "\n" not in str(error.value)
    assert (tmp_path / "gate" / "guests.json").read_text() == content


JOINS = """
import sys
from pathlib import Path
from streamcli.errors import NotPermitted
from streamcli.gate.guest_list import Guest, GuestList
sys.stdin.readline()
folder, key = sys.argv[1:]
try:
    guest = GuestList(Path(folder)).use(b"a secret of alex", key, lambda one: Guest(one.name, key, 1.0, ""))
    print(guest.fingerprint)
except NotPermitted:
    print("refused")
"""


@pytest.mark.slow
def test_of_processes_that_use_one_invitation_at_once_exactly_one_gets_in(tmp_path: Path) -> None:
    guests = GuestList(tmp_path / "gate")
    guests.invite("alex", SECRET, "owner", 1e11, False)
    command = [sys.executable, "-c", JOINS, str(tmp_path / "gate")]
    joining = [
        subprocess.Popen([*command, f"key {number}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(KEYS)
    ]
    with ThreadPoolExecutor(KEYS) as threads:  # all are ready, and go at once
        said = [out.strip() for out, _ in threads.map(lambda one: one.communicate("go\n", timeout=60), joining)]
    assert said.count("refused") == KEYS - 1
    [winner] = [word for word in said if word != "refused"]
    assert guests.read().guests["alex"].fingerprint == winner
    assert [one.key for one in guests.read().invites.values()] == [winner]


def test_two_that_join_at_once_in_one_process_are_one_guest(tmp_path: Path) -> None:
    guests = GuestList(tmp_path / "gate")
    guests.invite("alex", SECRET, "owner", 1e11, False)
    with ThreadPoolExecutor(KEYS) as threads:
        let_in = [not one for one in threads.map(lambda number: is_taken(guests, f"key {number}"), range(KEYS))]
    assert let_in.count(True) == 1


def is_taken(guests: GuestList, key: str) -> bool:
    try:
        use(guests, key=key)
    except NotPermitted:
        return True
    return False


# The gate's own key.


def test_keys_are_made_once_whoever_comes_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: GateKeys(tmp_path / "gate").ensure(), range(4)))
    keys = GateKeys(tmp_path / "gate")
    der, key = keys.der(), keys.key.read_bytes()
    keys.ensure()
    assert (keys.der(), keys.key.read_bytes()) == (der, key)
    assert keys.sign("alex", new_guest_key()[1]), "key and certificate belong together"
    assert keys.key.stat().st_mode & 0o777 == 0o600


RSA = """-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf
9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==
-----END PUBLIC KEY-----
"""


@pytest.mark.parametrize("key", ["", "x", "\ud800", RSA, RSA.replace("MFww", "AAAA"), new_guest_key()[0]])
def test_a_key_of_another_kind_is_not_signed(tmp_path: Path, key: str) -> None:
    keys = GateKeys(tmp_path / "gate")
    keys.ensure()
    with pytest.raises(ValueError):
        keys.sign("alex", key)


def test_the_list_is_json_that_a_person_can_read(guests: GuestList, tmp_path: Path) -> None:
    invite(guests)
    use(guests, floor=dict(FLOOR))
    stored = json.loads((tmp_path / "gate" / "guests.json").read_text())
    assert stored["guests"]["alex"]["floor"] == FLOOR
    assert stored["invites"][secret_hash(SECRET)]["used"] == BEGINS
