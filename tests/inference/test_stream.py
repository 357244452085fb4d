"""Standard input as it comes, through a real pipe: who asks is answered, and nothing is kept."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import call, start

from s2s_plugin.errors import UserError
from s2s_plugin.inference.stream import FIRST_WINDOW, MAX_LINE_BYTES, windows

LARGEST = 64


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def numbered(texts: list[str], first: int = 1) -> list[tuple[str, str]]:
    return [(f"standard input, line {number}", text) for number, text in enumerate(texts, start=first)]


def read(ends: tuple[int, int], content: bytes) -> list[list[tuple[str, str]]]:
    """The windows of a stream that is there as a whole."""
    os.write(ends[1], content)
    os.close(ends[1])
    return list(windows(ends[0], LARGEST))


def test_a_pause_ends_a_window(pipe):
    found = windows(pipe[0], LARGEST)
    for number, text in enumerate(("one", "two", "three"), start=1):
        os.write(pipe[1], f" {text}\r\n".encode())
        assert next(found) == numbered([f" {text}"], number)
    os.write(pipe[1], b"four\nfive\nand no more")
    assert next(found) == numbered(["four", "five"], 4)
    os.close(pipe[1])
    assert list(found) == [numbered(["and no more"], 6)]


def test_windows_of_plenty_grow_and_lose_nothing(pipe):
    texts = [f"line {number}" for number in range(500)]
    found = read(pipe, "\n".join(texts).encode())
    assert [line for window in found for line in window] == numbered(texts)
    sizes = list(map(len, found))
    assert sizes[:4] == [FIRST_WINDOW, 2 * FIRST_WINDOW, LARGEST, LARGEST] and max(sizes) == LARGEST


@pytest.mark.parametrize("content, texts", [(b"", []), (b"\n", [""]), (b"\n\na", ["", "", "a"]), (b" \n", [" "])])
def test_empty_lines_are_lines(pipe, content: bytes, texts: list[str]):
    assert [line for window in read(pipe, content) for line in window] == numbered(texts)


def test_white_space_and_the_mark_of_a_file(pipe):
    """A line keeps all but its end; a byte order mark goes from the first, and from no other."""
    content = "\ufeff\tif x:\r\n\ufeff a \r b\f\n\ufeff\r\r\n".encode()
    assert read(pipe, content) == [numbered(["\tif x:", "\ufeff a \r b\f", "\ufeff"])]


@pytest.mark.parametrize(
    "third, mistake",
    [
        (b"caf\xe9", "byte 4 is not UTF-8"),
        (b" " * (MAX_LINE_BYTES + 1), f"a line must have at most {MAX_LINE_BYTES:,} bytes"),
        (b"x" * (3 * MAX_LINE_BYTES), f"a line must have at most {MAX_LINE_BYTES:,} bytes"),
    ],
    ids=["bytes", "long", "endless"],
)
def test_a_mistake_has_its_place_among_the_lines(tmp_path: Path, third: bytes, mistake: str):
    (tmp_path / "lines").write_bytes(b"one\ntwo\n" + third + b"\nfour" * 40)
    with (tmp_path / "lines").open("rb") as file:
        found = [line for window in windows(file.fileno(), LARGEST, "my") for line in window]
    assert [where for where, _ in found] == [f"my, line {number}" for number in range(1, 44)]
    assert [line for _, line in found[:2] + found[3:]] == ["one", "two", *["four"] * 40]
    assert isinstance(found[2][1], UserError) and mistake in str(found[2][1])


# ------------------------------------------------------------------ the command


class Talk:
    """A running ``s2s translate``; one that hangs is ended, and then says nothing."""

    def __init__(self, folder: Path, overrides: str, errors: Path):
        self.errors = errors  # a file: a pipe would end only with the last process that holds it
        (source, stdin), (stdout, sink) = os.pipe(), os.pipe()
        with errors.open("wb") as file:
            self.process = start(f"s2s translate app=nmt {overrides}", folder, source, sink, file)
        os.close(source)
        os.close(sink)
        self.stdin, self.stdout = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb")
        self.watch = threading.Timer(300, self.process.send_signal, [signal.SIGKILL])
        self.watch.start()
        self.sent = 0

    def send(self, text: str) -> None:
        self.stdin.write(f"{text}\n".encode())
        self.stdin.flush()
        self.sent += 1

    def answer(self) -> str:
        line = self.stdout.readline().decode()
        assert line.endswith("\n"), "no answer"
        return line[:-1]

    def memory(self) -> int:
        """KiB, of this process and those it has begun."""
        sizes = (Path(f"/proc/{pid}/status").read_text() for pid in (self.process.pid, *self.children()))
        return sum(int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) for text in sizes)

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def end(self) -> tuple[int, str]:
        """Exit code and what was said on standard error."""
        code = self.process.wait(300)
        self.watch.cancel()
        return code, self.errors.read_text()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_endless_stream(small_model: Path, tmp_path: Path, workers: int):
    """The first answer before the second line; then as fast as lines are taken, with constant memory; then a reader
    who has seen enough."""
    talk = Talk(small_model, f"workers={workers}", tmp_path / "errors")
    for text in ("a b c", "d e", "", "f g h"):
        talk.send(text)
        assert bool(talk.answer()) == bool(text)

    stopped = threading.Event()

    def feed() -> None:
        try:
            while not stopped.is_set():
                talk.send("a b c d " * (1 + talk.sent % 4))
        except BrokenPipeError:
            stopped.set()

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        sizes = []
        for number in range(4, 6004):
            talk.answer()
            if number in (2000, 6000):
                sizes.append(talk.memory())
                # A window is in work, a window and what the pipes hold are waiting.
                assert talk.sent - number < 4 * 512 + 2 * 2**16 / 8
        assert sizes[1] - sizes[0] < 30_000
        assert len(talk.children()) == (workers if workers > 1 else 0)
        talk.stdout.close()
        code, errors = talk.end()
    finally:
        stopped.set()
        talk.process.send_signal(signal.SIGKILL)
        feeder.join()
    assert (code, errors) == (0, "")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_stopped_while_it_waits(small_model: Path, tmp_path: Path, stop: int):
    """No process is left behind."""
    talk = Talk(small_model, "workers=2", tmp_path / "errors")
    talk.stdin.write(b"a b c d\n" * 40)
    talk.stdin.flush()
    for _ in range(40):
        talk.answer()
    children = talk.children()
    assert len(children) == 2
    talk.process.send_signal(stop)
    code, errors = talk.end()
    if stop == signal.SIGINT:
        assert code == 130 and errors == "\ns2s: interrupted\n"
    else:
        assert code == -stop and errors == ""
    deadline = time.monotonic() + 60
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(alive, children))


def test_whatever_a_line_stands_among(small_model: Path):
    """The answers of generation, in another order and between empty lines."""
    rows = (small_model / "runs/nmt/default/test.hyp").read_text().splitlines()
    sources = next((small_model / "data-bin").glob("files.*/text/test.en")).read_text().splitlines()
    lines = [line for source in reversed(sources) for line in (source, "")]
    done = call("s2s translate app=nmt workers=2", cwd=small_model, stdin="\n".join(lines))
    assert done.stdout.splitlines()[::2] == rows[::-1] and not any(done.stdout.splitlines()[1::2])
