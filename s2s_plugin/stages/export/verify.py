"""Load a packaged model and compare its outputs for its own examples with those stored in it."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.errors import UserError, visible
from s2s_plugin.package.archive import EXAMPLES, PackageFile
from s2s_plugin.package.hub import local_file
from s2s_plugin.package.model import load
from s2s_plugin.stages.export.examples import FOLDER

SHAPE = [{"input": str, "output": str}]


def run(words: Sequence[str]) -> int:
    """Run ``s2s verify``."""
    parser = argparse.ArgumentParser("s2s verify", description=__doc__)
    parser.add_argument("file", metavar="FILE.s2s", help="or hf:OWNER/NAME")
    path = local_file(parser.parse_args(words).file)
    with PackageFile(path) as file:
        for name in file.names:
            file.read(name)
        examples = file.read_json(EXAMPLES, SHAPE)
        media = {name: file.read(name) for name in file.names if name.startswith(FOLDER)}
        about = file.about
    model = load(path)
    with tempfile.TemporaryDirectory(prefix="s2s-") as folder:
        inputs = [_input(each["input"], media, Path(folder)) for each in examples]
        outputs = model.translate(inputs)
    wrong = [(each, got) for each, got in zip(examples, outputs, strict=True) if each["output"] != got]
    for each, got in wrong:
        print(f"input     {visible(each['input'])}\nexpected  {visible(each['output'])}\ngot       {visible(got)}\n")
    if wrong:
        raise UserError(f"{path}: {len(wrong)} of {len(examples)} examples have another output here")
    pair = " to ".join(about["languages"])
    result = f"{len(examples)} examples have the expected outputs" if examples else "sound, but it has no examples"
    print(f"{path}: {about['app']}, {pair}, {about['precision']}; {result}")
    return 0


def _input(text: str, media: dict[str, bytes], folder: Path) -> str:
    if text not in media:
        return text
    path = folder / Path(text).name
    path.write_bytes(media[text])
    return str(path)
