"""``s2s translate`` with sentences and files on its command line."""

from __future__ import annotations

from pathlib import Path

from command_line import call


def translate(model: Path, *inputs: str, stdin: str | None = None, check: bool = True):
    return call(["s2s", "translate", "app=nmt", *inputs, f"run_dir={model}/runs/nmt/default"], model, stdin, check)


def test_sentences_and_files_as_arguments(small_model: Path, tmp_path: Path):
    texts = ["a b c", "d e", "", "a = b", "f " * 200 + "g"]
    piped = translate(small_model, stdin="".join(f"{text}\n" for text in texts)).stdout
    assert len(piped.splitlines()) == len(texts) and piped.splitlines()[0]
    assert translate(small_model, *texts).stdout == piped
    file = tmp_path / "two words"
    file.write_text("".join(f"{text}\n" for text in texts[1:]))
    assert translate(small_model, texts[0], str(file), "generation.beam=5").stdout == piped


def test_a_file_that_is_not_there(small_model: Path):
    done = translate(small_model, "a b c", "file.txt", check=False)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.splitlines()[-1].startswith("s2s: error: file.txt: there is no such file")


def test_a_file_with_a_bad_line(small_model: Path, tmp_path: Path):
    (tmp_path / "bad").write_bytes(b"a b\ncaf\xe9\n")
    done = translate(small_model, str(tmp_path / "bad"), check=False)
    assert done.returncode == 2 and len(done.stdout.splitlines()) == 1
    assert done.stderr.splitlines()[-1] == f"s2s: error: {tmp_path}/bad, line 2: byte 4 is not UTF-8; convert it"
