"""SCAN: commands of a small grammar and the actions they stand for (Lake and Baroni 2018), in five official splits.

Training and test sets of a split are those of the paper; they share no command. The validation set is a part of the
training set.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.corpora.fetching.download import Expected, url_file
from s2s_plugin.corpora.recipe import Corpus, Request, find_file, read_text, recipe
from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import hash_fraction

COMMIT = "c4b756c"
SOURCE = "https://github.com/brendenlake/SCAN"
URL = f"{SOURCE}/raw/{COMMIT}/{{}}"
FOLDERS = {
    "simple": "simple_split",
    "length": "length_split",
    "addprim_jump": "add_prim_split",
    "addprim_turn_left": "add_prim_split",
    "template_around_right": "template_split",
}
EXPECTED = {
    "tasks_train_simple.txt": Expected(3_267_938, "941bb8a088c5f53ceff12fde902dc008933cf0c4203cc672c47b5f79d73262dd"),
    "tasks_test_simple.txt": Expected(812_450, "1fe1c8f5a19d0dc40e41bab94278f45f66f3dc415a978bd29855a23440610fc6"),
    "tasks_train_length.txt": Expected(2_723_418, "b034212dc7cf87ce62f3a067dd6ad49c4d5cd18d51d615d13825516bcb1ebbc2"),
    "tasks_test_length.txt": Expected(1_356_970, "0760752ed34a75116ae11dcc1ee17526b7500060da1366540730fa24894d7db3"),
    "tasks_train_addprim_jump.txt": Expected(
        2_579_619, "e3c78485692e028eed4205e1b8b3fd0e785ef2c12d45b5b89204dadf5b239e23"
    ),
    "tasks_test_addprim_jump.txt": Expected(
        1_531_555, "8147ae2651422c701162e174d9d66158daa57858a26b30317ac61797118ac7a5"
    ),
    "tasks_train_addprim_turn_left.txt": Expected(
        3_974_537, "1b3fed86055dd7689d217f1b90cc8960aeb1cf200f4f209dc47935761b05304c"
    ),
    "tasks_test_addprim_turn_left.txt": Expected(
        173_679, "15a82c2d25ac7c3c1fff7e18051fb085974ef3617de895c520d02144396a10e2"
    ),
    "tasks_train_template_around_right.txt": Expected(
        2_558_693, "d5d35d174d557645fc61f289424afa0d95fde21422c59a9819e2d0fcfa9d419f"
    ),
    "tasks_test_template_around_right.txt": Expected(
        1_243_177, "fc78a5d1077dc2c206d6c42ed89fb9022867618c3f331179bafd3ec1ca699474"
    ),
}
VALID = 0.03  # of the commands that occur once in training; a primitive that is shown many times stays there


def get_file(name: str, folder: str, request: Request) -> Path:
    """Return a file such as ``tasks_test_simple.txt``; in the user's folder it may be packed."""
    if request.from_dir is None:
        return url_file(URL.format(f"{folder}/{name}"), request.cache, EXPECTED[name])
    names = [name, f"{name}.gz", f"{folder}/{name}", f"{folder}/{name}.gz"]
    return find_file(request.from_dir, names, f"it is {folder}/{name} in {SOURCE}")


def read_pairs(path: Path) -> list[Pair]:
    """Return commands and actions, from lines ``IN: jump twice OUT: I_JUMP I_JUMP``."""
    pairs = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        command, found, actions = line.removeprefix("IN: ").partition(" OUT: ")
        if not (line.startswith("IN: ") and found):
            raise UserError(f"{path}:{number}: expected 'IN: command OUT: actions', got {line[:60]!r}")
        pairs.append((" ".join(command.split()), " ".join(actions.split())))
    return pairs


@recipe(
    directions=[("en", "actions")],
    source=SOURCE,
    license="BSD-3-Clause",
    version=COMMIT,
    choices={"split": FOLDERS},
    help={"split": "official split: what the test set has that training has not"},
)
def prepare(request: Request, split: str = "simple") -> Corpus:
    """Read the two files of a split, and take the validation set from training, by the hash of the command."""
    train, test = (
        read_pairs(get_file(f"tasks_{part}_{split}.txt", FOLDERS[split], request)) for part in ("train", "test")
    )
    counts = Counter(command for command, _ in train)
    held_out = {command for command in counts if counts[command] == 1 and hash_fraction(command) < VALID}
    valid = [pair for pair in train if pair[0] in held_out]
    return Corpus({"train": [pair for pair in train if pair[0] not in held_out], "valid": valid, "test": test})


if __name__ == "__main__":
    sys.exit(prepare.main())
