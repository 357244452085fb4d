"""Models of OpenNMT-py and JoeyNMT become ours, with the log-probabilities that the peers' own code has given.

``tests/helpers/make_peer_models.py`` made the files in ``peers`` with OpenNMT-py 3.5.1 and 1.2.0 and JoeyNMT 2.3.0.
"""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from command_line import call

from s2s_plugin.errors import UserError
from s2s_plugin.stages.importing import joeynmt, opennmt
from s2s_plugin.stages.importing.checkpoint import CHECKPOINT, write_imported
from s2s_plugin.tasks.checkpoint import load_model

PEERS = Path(__file__).parent / "peers"
MODELS = sorted(path.stem for path in PEERS.glob("*.json"))


def convert(name: str, out: Path) -> None:
    is_opennmt = name.startswith("opennmt")
    write_imported(
        opennmt.read_opennmt(PEERS / f"{name}.pt") if is_opennmt else joeynmt.read_joeynmt(PEERS / name), out
    )


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_log_probabilities_are_those_of_the_peer(name: str, tmp_path: Path):
    convert(name, tmp_path / "ours")
    model, _, task = load_model(tmp_path / "ours" / CHECKPOINT, tmp_path / "ours")
    source, target = task.source_dictionary, task.target_dictionary
    expected = json.loads((PEERS / f"{name}.json").read_text("utf-8"))
    names = {"<blank>": "<pad>"}
    # Ours copies words outside the target vocabulary as the unknown word, and never writes padding.
    columns = [number for number, token in enumerate(expected["tokens"]) if "copy" not in name or number > 1]
    ids = [target.index(names.get(expected["tokens"][number], expected["tokens"][number])) for number in columns]
    rows = [source.encode_line(line, add_if_not_exist=False).long() for line in expected["sources"]]
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=source.pad())
    previous = torch.nn.utils.rnn.pad_sequence(
        [
            target.encode_line(f"</s> {line}", add_if_not_exist=False, append_eos=False).long()
            for line in expected["targets"]
        ],
        batch_first=True,
        padding_value=target.pad(),
    )
    got = model.eval()(tokens, lengths, previous)[0].log_softmax(-1)
    for item, steps in zip(got, expected["log_probs"], strict=True):
        difference = item[: len(steps), ids] - torch.tensor(steps)[:, columns]
        assert difference.abs().max() < 1e-5


def test_all_kinds_are_there():
    assert len(MODELS) == 11 and {name.partition("_")[0] for name in MODELS} == {"opennmt1", "opennmt3", "joeynmt"}


@pytest.mark.slow
def test_it_decodes_by_the_commands(tmp_path: Path):
    shutil.copy(PEERS / "opennmt1_lstm_mlp.pt", tmp_path / "old.pt")
    done = call("s2s import-opennmt old.pt", cwd=tmp_path)
    command = done.stdout.split(": ", 1)[1].removesuffix(" decodes tokens\n")
    assert "H-0\t" in call(command, cwd=tmp_path, stdin="a b c\n").stdout


class Attack:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_executed(zipped: bool, tmp_path: Path, capsys):
    state = {"opt": Attack(), "model": {}, "vocab": {}, "generator": {}}
    torch.save(state, tmp_path / "bad.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"bad\.pt: not a (checkpoint|recurrent model)"):
        opennmt.read_opennmt(tmp_path / "bad.pt")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("bridge", True, "cannot be imported: bridge must be False, got True"),
        ("encoder_type", "transformer", "it is a transformer and rnn, not rnn"),
        ("global_attention_function", "sparsemax", "global_attention_function must be softmax"),
        ("copy_attn", True, "copy_attn requires reuse_copy_attn"),
    ],
)
def test_what_ours_lacks_is_named(key: str, value: object, said: str, tmp_path: Path):
    state = torch.load(PEERS / "opennmt3_lstm_general.pt", weights_only=False)
    setattr(state["opt"], key, value)
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(UserError, match=said):
        opennmt.read_opennmt(tmp_path / "other.pt")


def test_mistakes(tmp_path: Path):
    (tmp_path / "text.pt").write_bytes(pickle.dumps([1]))
    with pytest.raises(UserError, match=r"text\.pt: not a checkpoint"):
        opennmt.read_opennmt(tmp_path / "text.pt")
    with pytest.raises(UserError, match=r"none\.pt: no such checkpoint"):
        opennmt.read_opennmt(tmp_path / "none.pt")
    with pytest.raises(UserError, match=r"config\.yaml: no such config"):
        joeynmt.read_joeynmt(tmp_path)
