"""Writes the generated parts of the documentation; with --check it only says whether they are up to date.

A generated part stands between two comments, ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from streamcli import commands, errors
from streamcli.cli.usage import USAGE
from streamcli.ui import keys

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "streamcli"
PART = re.compile(r"(?<=<!-- generated: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def usage() -> str:
    """The text of ``streamcli --help``."""
    return f"```text\n{USAGE.strip()}\n```\n"


def exit_codes() -> str:
    """The exit codes, from the error family and the few that are no errors."""
    rows = {
        0: "Done, or left the chat.",
        3: "`server status`: the embedded server is not running.",
        130: "Interrupted.",
    }
    for error in _family(errors.StreamcliError):
        rows[error.exit_code] = (error.__doc__ or "").splitlines()[0]
    rows[70] = "Our fault; the log file says more."
    lines = [f"| {code} | {rows[code]} |" for code in sorted(rows)]
    return "\n".join(["| code | when |", "| --- | --- |", *lines]) + "\n"


def modules() -> str:
    """Each module's first line, folder by folder."""
    lines: list[str] = []
    for folder in sorted({path.parent for path in PACKAGE.rglob("*.py")}):
        rows = [(path, _first_line(path)) for path in sorted(folder.glob("*.py"))]
        name = "" if folder == PACKAGE else f"{folder.relative_to(PACKAGE)}/"
        about = next(first for path, first in rows if path.name == "__init__.py")
        lines += ["", f"### `streamcli/{name}`", "", about, "", "| module | what for |", "| --- | --- |"]
        lines += [f"| `{path.name}` | {first} |" for path, first in rows if path.name != "__init__.py"]
    return "\n".join(lines) + "\n"


def _first_line(path: Path) -> str:
    return path.read_text("utf-8").partition('"""')[2].partition('"""')[0].splitlines()[0]


def _family(error: type[errors.StreamcliError]) -> Iterator[type[errors.StreamcliError]]:
    yield error
    for child in error.__subclasses__():
        yield from _family(child)


PARTS: dict[str, Callable[[], str]] = {
    "usage": usage,
    "commands": commands.markdown_table,
    "keys": keys.markdown_table,
    "exit_codes": exit_codes,
    "modules": modules,
}


def main(check: bool) -> int:
    """Bring every Markdown file up to date, or say which are not."""
    stale = []
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        old = path.read_text("utf-8")
        new = PART.sub(lambda part: part[1] + part[2] + PARTS[part[1]](), old)
        if new != old:
            stale.append(path.relative_to(ROOT))
            if not check:
                path.write_text(new, "utf-8")
    for name in stale:
        print(f"{name}: {'is out of date, run: make docs' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
