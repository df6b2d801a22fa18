"""One meaning of Ctrl+C, SIGTERM and SIGHUP in each of the four forms."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from vsrc.runtime.processes.stop_signal import (
    delay_stop_signal,
    ignore_stop_signals,
    note_stop_signal,
    raise_on_stop_signal,
)

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _as_in_a_shell(_restored_stop_signals: None) -> None:
    """Whoever runs the tests may have them ignore a signal."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_first_signal_raises_and_more_are_ignored(number: signal.Signals) -> None:
    def end_slowly() -> None:
        with raise_on_stop_signal():
            try:
                signal.raise_signal(number)
            finally:
                for other in NUMBERS:
                    signal.raise_signal(other)

    with pytest.raises(KeyboardInterrupt) as raised:
        end_slowly()
    assert raised.value.__context__ is None
    assert {signal.getsignal(each) for each in NUMBERS} == {signal.SIG_DFL}


class _Stopped:
    """A signal comes while its destructor runs."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_a_destructor_lost_comes_again(capsys: pytest.CaptureFixture[str]) -> None:
    def go_on() -> None:
        with raise_on_stop_signal():
            _Stopped()
            while time.monotonic() < ends:
                time.sleep(0.001)

    hook = sys.unraisablehook
    ends = time.monotonic() + 30
    with pytest.raises(KeyboardInterrupt):
        go_on()
    assert capsys.readouterr().err == ""
    assert sys.unraisablehook is hook


@pytest.mark.parametrize("number", NUMBERS)
def test_a_noted_signal_interrupts_nothing(number: signal.Signals) -> None:
    with raise_on_stop_signal(), note_stop_signal() as stop:
        assert not stop.requested
        signal.raise_signal(number)
        signal.raise_signal(number)  # sent at once, as service managers do
        assert stop.requested


def test_a_second_wish_to_stop_is_not_noted_but_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 10.5, 11.5])
    monkeypatch.setattr("vsrc.runtime.processes.stop_signal.time.monotonic", lambda: next(now))
    with raise_on_stop_signal(), note_stop_signal() as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert stop.requested


def test_a_delayed_signal_acts_behind_the_block() -> None:
    done = []

    def work() -> None:
        with raise_on_stop_signal(), delay_stop_signal():
            signal.raise_signal(signal.SIGTERM)
            done.append("inside")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inside"]


@pytest.mark.parametrize("form", [raise_on_stop_signal, note_stop_signal, delay_stop_signal])
def test_what_is_ignored_from_outside_stays_so(
    form: Callable[[], AbstractContextManager[object]],
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # under nohup
    with form() as given:
        signal.raise_signal(signal.SIGHUP)
        assert not getattr(given, "requested", False)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize("form", [raise_on_stop_signal, note_stop_signal, delay_stop_signal])
def test_what_the_block_ignores_stays_ignored(
    form: Callable[[], AbstractContextManager[object]],
) -> None:
    with form():
        ignore_stop_signals()
    for number in NUMBERS:
        signal.raise_signal(number)
    assert {signal.getsignal(each) for each in NUMBERS} == {signal.SIG_IGN}


@pytest.mark.parametrize("form", [raise_on_stop_signal, note_stop_signal, delay_stop_signal])
def test_in_another_thread_nothing_is_installed(
    form: Callable[[], AbstractContextManager[object]],
) -> None:
    seen = []

    def work() -> None:
        with form():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
