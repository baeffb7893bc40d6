"""How far a run is, on a terminal and elsewhere."""

from __future__ import annotations

import io
import logging
import re

import pytest

from klaviyo_client.http.usage import Usage, UsageWindow
from klaviyo_client.plugin.progress import Bar, ProgressDisplay, Status, render_bar, terminal


class Terminal(io.StringIO):
    """What was written; ``shown`` is the lines that somebody sees."""

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> list[str]:
        return [re.split("\r\x1b\\[2K", line)[-1] for line in self.getvalue().split("\n")]


def test_the_busiest_operation_is_the_one_nearest_to_its_own_limit() -> None:
    """Not the one with most requests; nothing where none was sent."""
    assert UsageWindow(0, {}).busiest(30, {"a": Usage(30, 150), "b": Usage(60, 3500)}) == ("a", 0.2)
    begun = {"a": Usage(30, 150)}
    assert UsageWindow(0, begun).busiest(60, {**begun, "b": Usage(35, 3500)}) == ("b", 0.01)
    assert UsageWindow(0, begun).busiest(5, begun) is None
    assert UsageWindow(0, {}).busiest(5, {}) is None


def test_a_burst_uses_a_minutes_allowance_and_is_forgotten_after_a_minute() -> None:
    """Whoever keeps to the limits is never told of more than all of it."""
    minute = UsageWindow(0, {})
    shares = [minute.busiest(now, {"a": Usage(min(now * 10, 150), 150)}) for now in range(5, 90, 5)]
    assert shares[:3] == [("a", 50 / 150), ("a", 100 / 150), ("a", 1.0)]
    assert shares[11] == ("a", 1.0)
    assert shares[-1] is None


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (None, "events"),
        (0.0, "[....................] 0% events"),
        (0.5, "[##########..........] 50% events"),
        (1.0, "[####################] 100% events"),
    ],
)
def test_a_bar_is_drawn_only_for_what_is_known(part: float | None, text: str) -> None:
    """How much is left may be known to nobody."""
    assert render_bar(Status("", "events", part)) == text


def test_a_bar_is_one_line_that_gives_way_to_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is logged stands above it, whole; at the end nothing of it is left, whatever its length was."""
    monkeypatch.setenv("COLUMNS", "20")
    seen = Terminal()
    handler = logging.StreamHandler(seen)
    logging.getLogger().addHandler(handler)
    try:
        display = ProgressDisplay(
            lambda: Status("line", "x" * 50), logging.getLogger("any"), interval=60, terminal=seen
        )
        with display:
            display.show()
            assert seen.shown == ["x" * 19]
            logging.getLogger("other").warning("said")
            assert seen.shown == ["said", ""]
            display.show()
            display.show()
            assert seen.shown == ["said", "x" * 19]
        assert seen.shown == ["said", ""]
        assert handler.filters == []
    finally:
        logging.getLogger().removeHandler(handler)


def test_no_bar_is_drawn_between_a_log_line_and_its_room() -> None:
    """The bar's thread may draw at any moment, also when a log line was just given its room."""
    seen = Terminal()
    handler = logging.StreamHandler(seen)
    logging.getLogger().addHandler(handler)
    bar = Bar(seen)
    try:
        bar.attach()
        # A handler is asked for its filters before anything is written.
        handler.addFilter(lambda record: bar.draw(Status("line", "bar")) or True)
        bar.draw(Status("line", "bar"))
        logging.getLogger("any").warning("a line")
        assert "bara line" not in seen.getvalue()
        assert seen.getvalue().endswith("\r\x1b[2Ka line\n")
    finally:
        bar.detach()
        logging.getLogger().removeHandler(handler)
    logging.getLogger("any").warning("after")
    assert "after" not in seen.getvalue()


def test_elsewhere_lines_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """And nothing, while there is nothing to say."""
    statuses = iter([None, Status("line", "text")])
    display = ProgressDisplay(lambda: next(statuses), logging.getLogger("any"), interval=60)
    with caplog.at_level(logging.INFO):
        display.show()
        display.show()
    assert caplog.messages == ["line"]


@pytest.mark.parametrize(
    ("errors", "output", "there"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_a_terminal_that_messages_go_to_gets_no_bar(
    monkeypatch: pytest.MonkeyPatch, errors: bool, output: bool, there: bool
) -> None:
    """A bar would stand in the middle of them."""
    files = [Terminal() if is_terminal else io.StringIO() for is_terminal in (errors, output)]
    monkeypatch.setattr("sys.stderr", files[0])
    monkeypatch.setattr("sys.stdout", files[1])
    assert terminal() is (files[0] if there else None)


def test_a_bar_that_was_not_drawn_erases_nothing() -> None:
    """A short run leaves no trace of it."""
    seen = Terminal()
    Bar(seen).erase()
    assert seen.getvalue() == ""
