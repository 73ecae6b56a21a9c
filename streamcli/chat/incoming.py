"""`Incoming`: folds the reader's batches into the timeline, draws new messages, and tells the writer what came back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from streamcli.log.reader import Beginning
from streamcli.log.writer import Writer
from streamcli.model.cursor import LogOpened
from streamcli.model.event import Arrived
from streamcli.model.message import Message, plausible
from streamcli.storage.outbox_thread import counted
from streamcli.system.clock import Clock
from streamcli.ui import Screen
from streamcli.ui.render import MessageStyle
from streamcli.ui.scrollback import Scroll
from streamcli.views.timeline import FoldResult, Timeline


class Tells(Protocol):
    """Is told of what arrives; all calls come in the loop's thread."""

    def note(self, text: str) -> None:
        """Show ``text`` in the scrollback."""

    def more_came(self) -> None:
        """The history has grown."""

    def acknowledged(self) -> None:
        """Messages of ours were read back."""


class Incoming:
    """Implements streamcli.log.reader.Listener for one chat."""

    def __init__(
        self, writer: Writer, scroll: Scroll, screen: Screen, style: MessageStyle, clock: Clock, tells: Tells
    ) -> None:
        self._writer, self._scroll, self._screen = writer, scroll, screen
        self._style, self._clock, self._tells = style, clock, tells
        self.timeline = Timeline()
        self._last_known: Message | None = None  # the last message in the history at the start
        self._own: list[str] = []  # ids of our messages that were read but perhaps not drawn yet

    def resume(self, shown: Sequence[Message]) -> None:
        """Draw the last screenful from disk, before any network."""
        self.timeline.resume(shown)
        self._scroll.messages(shown)
        self._last_known = shown[-1] if shown else None

    def own_unread_since(self) -> float | None:
        """Return since when (monotonic seconds) a message of ours has been in the log without having been read back."""
        return self._writer.unread_since() if self.timeline.live else None

    def opened(self, opened: LogOpened, beginning: Beginning) -> None:
        """Handle the start of reading."""
        self.timeline.open(beginning.another)
        if beginning.another:
            self._tells.note(
                "This is another log than before: it was made anew, or restored from an older copy. "
                "Your history is kept."
            )
            self._last_known = None
            self._scroll.another_log()
            self._writer.log_replaced(opened.log)
            self._own.clear()
        elif beginning.missed:
            self._tells.note("The head of the log was cut off meanwhile: what was not read before is gone.")
        self._writer.reader_replaced()
        self._screen.refresh()

    def arrived(self, batch: list[Arrived], shown: Callable[[], None]) -> None:
        """Fold a batch and draw new messages."""
        self._own += self._writer.ours_among(event.content for event in batch)
        self._show(self.timeline.take(batch))
        self._screen.after_drawing(shown)

    def caught_up(self) -> None:
        """Draw the end of the catch-up."""
        seen = self.timeline.caught_up()
        new = seen.skipped + len(seen.messages)
        if self._last_known and new:
            since = self._style.since(self._last_known, self._clock.today())
            last = f", the last {len(seen.messages)}:" if seen.skipped else ""
            self._tells.note(f"{new:,} new{' since ' if since else ''}{since}{last}")
        elif seen.skipped:
            self._tells.note(f"{counted(seen.skipped)} came before these.")
        self._last_known = None
        self._show(seen)
        self._writer.live()
        self._tells.more_came()
        self._screen.refresh()

    def stuck(self, passable: bool) -> None:
        """Report an event of no bytes that blocks the reader group."""
        if not passable:
            self._tells.note(
                "An empty event stands in this stream of several segments: some messages behind it can't be read. "
                "What comes from now on is read."
            )

    def _show(self, seen: FoldResult) -> None:
        if seen.messages:
            self._scroll.messages(seen.messages, plausible(self._clock.now()) if self.timeline.live else None)
            self._tells.more_came()
        self._scroll.unreadable(seen.unreadable)
        if self._own and self.timeline.live:
            # Including those of a catch-up that were only counted.
            self._writer.read_back(self._own)
            self._own.clear()
            self._tells.acknowledged()
