"""Other people join: invited, let in, removed; and what they do in the chat works as for its owner."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import start_server
from tests.environment import make_home
from tests.hosts import another_host, as_another_user
from tests.sharing import Owner, Person, free_port, newcomer
from tests.test_readme import examples

pytestmark = [pytest.mark.timeout(240), pytest.mark.real]


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def owner(tmp_path: Path, stack: contextlib.ExitStack) -> Owner:
    """The owner of a server that keeps its data."""
    server = start_server(make_home(tmp_path / "own-server"), "--data-dir", str(tmp_path / "data"))
    stack.callback(server.stop)
    return Owner(server, stack)


def joined(owner: Owner, person: Person, *options: str, host: str = "127.0.0.1") -> Person:
    line = owner.invites(person.name, *options, host=host)
    assert f"You are in, as {person.name}." in person.does("join", text=line + "\n")
    return person


def test_a_guest_is_invited_in_the_chat_talks_and_is_removed(
    owner: Owner, tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    tim = owner.opens()
    tim.connected()
    tim.enter("before anybody came")
    tim.see("before anybody came")
    tim.enter(f"/invite alex --port {owner.port} --host 127.0.0.1")
    tim.see("streamcli join alex@")
    shown = "".join(line.strip() for line in tim.lines())
    assert "alex will read everything ever said here" in shown
    assert "alex  invited, until" in owner.does("guests")
    line = owner.invites("alex")
    alex = newcomer(tmp_path, "alex", stack)
    screen = alex.opens("join", line)
    screen.see("You are in, as alex. From now on `streamcli` opens this chat.")
    screen.see("connected to the chat tim")
    screen.see("before anybody came")
    screen.enter("hello from afar")
    tim.see("alex: hello from afar")
    tim.enter("welcome")
    screen.see("tim: welcome")
    tim.enter("/guests")
    tim.see("here now")
    screen.enter("/invite bob")
    screen.see("Only the owner of a chat lets others in")
    owner.invites("bob")
    tim.enter("/uninvite alex")
    tim.see("alex is out: 1 connection closed.")
    screen.see("You are no longer a guest here")
    assert "alex" not in owner.does("guests")
    refused = alex.runs("send", "once more")
    assert refused.returncode == 77 and "You are no longer a guest here." in refused.stderr
    assert refused.stderr.count("\n") == 1
    gate = owner.gate
    owner.does("uninvite", "bob")
    assert owner.runs("guests").returncode == 1
    gate.wait(10)


def test_what_a_guest_does_works_as_for_the_owner(
    owner: Owner, tmp_path: Path, stack: contextlib.ExitStack, guest: list[str]
) -> None:
    """With nothing installed that speaks to Pravega, on another host if that is allowed."""
    owner.does("send", text="".join(f"line {number}\n" for number in range(300)))
    alex = joined(owner, newcomer(tmp_path, "alex", stack, program=guest))
    assert alex.does("chats") == f"tim  as alex, at 127.0.0.1:{owner.port}\n"
    alex.does("send", "from", "alex")
    alex.does("send", text="one\ntwo\n")
    owner.does("send", "from", "tim")
    texts = [json.loads(line)["message"] for line in alex.does("tail", "--no-follow", "--json").splitlines()]
    assert texts == [*(f"line {number}" for number in range(300)), "from alex", "one", "two", "from tim"]
    assert texts == owner.log()
    assert "alex: from alex" in alex.does("history", "--last", "10")
    assert "line 250" in alex.does("search", "line", "250")
    assert "from tim" in alex.does("history", "--url", "tim")
    doctor = alex.does("doctor")
    assert "gate" in doctor and "FAIL" not in doctor, doctor
    for arguments, words in (
        (("--id", "bob", "send", "x"), "your name is alex"),
        (("--stream", "other", "send", "x"), "--stream is for a server"),
        (("--url", "nobody", "send", "x"), "neither a URL nor a chat that was joined"),
        (("server", "start"), "pip install"),
        (("invite", "bob"), "pip install"),
    ):
        done = alex.runs(*arguments[2:], *arguments[:2]) if arguments[0].startswith("--") else alex.runs(*arguments)
        assert done.returncode in (64, 78) and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_name_is_held_by_its_key(owner: Owner, tmp_path: Path, stack: contextlib.ExitStack) -> None:
    alex = joined(owner, newcomer(tmp_path, "alex", stack))
    refused = owner.runs("send", "--id", "alex", "I am alex")
    assert refused.returncode == 64 and "alex is a guest's name" in refused.stderr
    for name in ("alex", "Alex", "аlex", "ALEX", "tim", "tіm"):
        again = owner.runs("invite", name, "--port", str(owner.port))
        assert again.returncode == 64 and ("is in this chat already" in again.stderr), again.stderr
    alex.does("send", "it is me")
    assert owner.log() == ["it is me"]


def test_who_is_invited_without_the_past_never_sees_it(
    owner: Owner, tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    owner.does("send", text="secret one\nsecret two\n")
    alex = joined(owner, newcomer(tmp_path, "alex", stack), "--since-joining")
    owner.does("send", "after")
    assert "secret" not in alex.does("tail", "--no-follow")
    assert alex.does("tail", "--no-follow").splitlines()[-1].endswith("tim: after")
    owner.gate.kill()
    owner.does("invite", "bob", "--port", str(owner.port))
    told = alex.does("history")
    assert "after" in told and "secret" not in told


def test_an_invitation_looks_as_the_readme_shows_it(owner: Owner) -> None:
    ((command, shown),) = [example for example in examples() if example[0].startswith("streamcli invite")]
    said = owner.does(*command.split()[1:], "--port", str(owner.port), "--host", "127.0.0.1")

    def steady(text: str) -> str:
        return re.sub(r"port \d+", "port N", re.sub(r"@\S+:\d+/[a-z2-7]{56}", "@…", text))

    assert steady(said) == steady(shown)


def test_invitations_are_refused_in_one_line(owner: Owner, tmp_path: Path, stack: contextlib.ExitStack) -> None:
    line = owner.invites("alex")
    alex = newcomer(tmp_path, "alex", stack)
    cut = alex.runs("join", line[:-1])
    assert cut.returncode == 64 and "This is no whole invitation" in cut.stderr
    empty = alex.runs("join", text="\n")
    assert empty.returncode == 64 and "No line was given" in empty.stderr
    alex.does("join", line)
    for person in (alex, newcomer(tmp_path, "mallory", stack)):
        used = person.runs("join", line, "--as", "again")
        assert used.returncode == 77 and "used, expired or unknown" in used.stderr and used.stderr.count("\n") == 1
    other = owner.invites("bob")
    owner.does("uninvite", "bob")
    void = newcomer(tmp_path, "bob", stack).runs("join", other)
    assert void.returncode == 77 and "used, expired or unknown" in void.stderr
    gone = owner.invites("carol")
    gate = owner.gate
    owner.does("server", "stop")
    gate.wait(10)
    away = newcomer(tmp_path, "carol", stack).runs("join", gone)
    assert away.returncode == 69 and "can't be reached" in away.stderr and away.stderr.count("\n") == 1, away.stderr


def test_nothing_is_lost_or_doubled_when_gate_server_and_prompt_are_killed(
    owner: Owner, tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    alex = joined(owner, newcomer(tmp_path, "alex", stack))
    tim, screen = owner.opens().connected(), alex.opens()
    screen.see("connected to the chat tim")
    expected = []
    for number, what in enumerate(("gate", "prompt", "server", "gate")):
        for side in ("before", "during"):
            expected.append(f"{what} {number} {side}")
            screen.enter(expected[-1])
            if side == "during":
                continue
            if what == "gate":
                before = owner.gate.pid
                os.kill(before, signal.SIGKILL)
            elif what == "server":
                owner.server_is_killed()
            else:
                screen.see(expected[-1])
                screen.process.kill(signal.SIGKILL)
                screen = alex.opens()
                screen.see("connected to the chat tim")
        for one in (tim, screen):
            one.see(f"alex: {expected[-1]}")
    assert owner.log() == expected


def test_guests_follow_the_gate_to_another_port(owner: Owner, tmp_path: Path, stack: contextlib.ExitStack) -> None:
    here, away = joined(owner, newcomer(tmp_path, "alex", stack)), joined(owner, newcomer(tmp_path, "bob", stack))
    screen = here.opens()
    screen.see("connected to the chat tim")
    before, owner.port = owner.port, free_port()
    owner.invites("carol")
    screen.enter("still here")
    away.does("send", "found it")
    assert sorted(owner.log()) == ["found it", "still here"]
    for person in (here, away):
        (saved,) = Path(person.env["HOME"]).rglob("joined.json")
        ports = {port for _, port in json.loads(saved.read_text())["places"]}
        assert ports == {before, owner.port}


def test_another_host_joins_and_its_cable_is_pulled(owner: Owner, tmp_path: Path, stack: contextlib.ExitStack) -> None:
    host = stack.enter_context(another_host(1))
    alex = joined(owner, newcomer(tmp_path, "alex", stack, host.prefix), host=host.ours)
    screen, tim = alex.opens(), owner.opens().connected()
    screen.see("connected to the chat tim")
    screen.enter("from another host")
    tim.see("alex: from another host")
    host.pull_the_cable()
    screen.enter("typed without a cable")
    tim.enter("said meanwhile")
    tim.see("tim: said meanwhile")
    screen.see("the gate does not answer")
    host.plug_it_in()
    tim.see("alex: typed without a cable")
    screen.see("tim: said meanwhile")
    assert owner.log() == ["from another host", "said meanwhile", "typed without a cable"]


def test_another_user_of_the_machine_joins_over_loopback(
    owner: Owner, tmp_path: Path, stack: contextlib.ExitStack, guest: list[str]
) -> None:
    person = newcomer(tmp_path, "alex", stack)
    prefix, user = as_another_user(Path(person.env["HOME"]))
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(folder.stat().st_mode | 0o011)
    for folder in (Path(guest[0]).parent.parent.parent, *list(Path(guest[0]).parents)[2:5]):
        folder.chmod(folder.stat().st_mode | 0o055)
    alex = joined(owner, Person("alex", person.env | {"USER": user}, stack, prefix, guest))
    alex.does("send", "from the other user")
    assert owner.log() == ["from the other user"]
