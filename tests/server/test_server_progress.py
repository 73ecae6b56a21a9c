"""What a start shows."""

from __future__ import annotations

import io

from streamcli.java.progress import Lines, download_text
from tests.fake_clock import fake_clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_has_bytes_rate_and_time_left() -> None:
    text = download_text(done=20_000_000, total=50_000_000, received=10_000_000, seconds=2)
    assert text == "fetching 20.0 of 50.0 MB, 40 %, 5.0 MB/s, 6 s left"


def test_nothing_is_invented_before_the_first_byte() -> None:
    assert download_text(0, 50_000_000, 0, 0) == "fetching 0.0 of 50.0 MB, 0 %"


def test_a_terminal_gets_one_line_and_a_stage_after_it_a_line_of_its_own() -> None:
    out = Terminal()
    lines = Lines(out)
    lines.download(0, 100)
    lines.download(100, 100)
    lines.download(100, 100)
    lines.stage("starting Java")
    shown = out.getvalue()
    assert shown.count("\r") == 2
    assert shown.count("100 %") == 1
    assert shown.endswith("\nserver: starting Java\n")


def test_a_pipe_gets_lines_without_control_characters() -> None:
    out = io.StringIO()
    lines = Lines(out)
    for done in range(101):
        lines.download(done, 100)
    assert out.getvalue().count("\n") == 2
    assert out.getvalue().replace("\n", "").isprintable()


def test_a_pipe_gets_a_line_every_five_seconds_and_the_time_left_is_that_of_this_download() -> None:
    out, clock = io.StringIO(), fake_clock()
    clock.sleep(100.0)
    lines = Lines(out, now=clock.monotonic)
    for done in range(2_000_000, 14_000_000, 1_000_000):  # 2 MB were there before
        lines.download(done, 20_000_000)
        clock.sleep(1.0)
    assert out.getvalue().splitlines() == [
        "server: fetching 2.0 of 20.0 MB, 10 %",
        "server: fetching 7.0 of 20.0 MB, 35 %, 1.0 MB/s, 13 s left",
        "server: fetching 12.0 of 20.0 MB, 60 %, 1.0 MB/s, 8 s left",
    ]
