"""What a start shows."""

from __future__ import annotations

import io

from streamcli.java.progress import Lines, download_text


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
