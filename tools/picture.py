"""Records a real session of two people on a real server and draws it as docs/session.svg."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import start_server  # noqa: E402
from tests.environment import STREAMCLI, make_home  # noqa: E402
from tests.terminal import Terminal  # noqa: E402

COLUMNS, ROWS = 84, 12
# rich's own template without its web fonts: the picture asks nobody for anything.
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def play(folder: Path) -> list[Text]:
    """Two people talk; the rows of the first one's terminal."""
    server = start_server(make_home(folder / "server"))
    try:
        command = [*STREAMCLI, server.url]
        with (
            Terminal([*command, "tim"], make_home(folder / "tim"), COLUMNS, ROWS) as tim,
            Terminal([*command, "alex"], make_home(folder / "alex"), COLUMNS, ROWS) as alex,
        ):
            tim.connected()
            alex.connected()
            for terminal, line, shown in (
                (tim, "hello, is this thing on?", "is this thing on"),
                (alex, "/greet", "alex says hi!"),
                (alex, "it is. Every line here is an event in a Pravega stream 🎉", "Every line"),
                (tim, "/me kills the writer process with -9", "* tim kills"),
                (alex, "Tim, nothing was lost and nothing came twice", "nothing was lost"),
                (tim, "joke", "tim jokes"),
                (tim, "/gret", "did you mean /greet?"),
            ):
                terminal.enter(line)
                tim.see(shown)
            with server.stopped_in_its_tracks():
                tim.enter("and when the server stands still, lines wait here")
                tim.see("  ... and when")
                tim.type("while one types on")
                tim.see_typed("tim> while one types on")
                tim.see_last("waiting")
                return tim.styled_rows()
    finally:
        server.stop()


def main() -> None:
    """Record and draw."""
    with tempfile.TemporaryDirectory() as folder:
        rows = play(Path(folder))
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="256")
    for row in rows:
        console.print(row, no_wrap=True, crop=False)
    (ROOT / "docs" / "session.svg").write_text(console.export_svg(title="streamcli", code_format=SVG), "utf-8")


if __name__ == "__main__":
    main()
