"""One bad line or file does not end the rest: it is named at once, and is an error at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from s2s_plugin.errors import UserError
from s2s_plugin.utils.console import say


@contextmanager
def report_failures(what: str) -> Iterator[Callable[[str, Exception], None]]:
    """Yield a function that reports what could not be answered, and why.

    Raises:
        UserError: at the end, if there was any.
    """
    count = 0

    def fail(name: str, error: Exception) -> None:
        nonlocal count
        count += 1
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        say(f"s2s: {' '.join((reason if name in reason else f'{name}: {reason}').split())}")

    yield fail
    if count:
        raise UserError(f"{count:,} of the {what} could not be used; see above")
