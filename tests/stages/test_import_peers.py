"""Models of OpenNMT-py and JoeyNMT become ours, with the log-probabilities that the peers' own code has given.

``tests/helpers/make_peer_models.py`` made the files in ``peers`` with OpenNMT-py 3.5.1 and 1.2.0 and JoeyNMT 2.3.0.
"""

from __future__ import annotations

import itertools
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from command_line import call
from sentencepiece import SentencePieceTrainer

import s2s_plugin
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.models.peers.parts import Special, convert_vocabulary
from s2s_plugin.package.archive import CARD, PackageFile
from s2s_plugin.stages.export import export, verify
from s2s_plugin.stages.importing import joeynmt, opennmt
from s2s_plugin.stages.importing.run import write_run
from s2s_plugin.tasks.checkpoint import load_model
from s2s_plugin.tasks.loading import load_dictionary
from s2s_plugin.text.codec import PairCodec, TextCodec

PEERS = Path(__file__).parent / "peers"
MODELS = sorted(path.stem for path in PEERS.glob("*.json"))


def convert(name: str, out: Path) -> None:
    is_opennmt = name.startswith("opennmt")
    write_run(opennmt.read_opennmt(PEERS / f"{name}.pt") if is_opennmt else joeynmt.read_joeynmt(PEERS / name), out)


def train_pieces(prefix: Path, **options: str) -> Path:
    """Train a SentencePiece model whose pieces are letters."""
    SentencePieceTrainer.train(
        sentence_iterator=iter(["abc defgh", "ABC D"]), model_prefix=str(prefix), model_type="char", vocab_size=17,
        add_dummy_prefix=False, hard_vocab_limit=False, minloglevel=2, **options,
    )  # fmt: skip
    return prefix.with_suffix(".model")


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_pieces(tmp_path_factory.mktemp("pieces") / "letters")


@pytest.fixture
def joeynmt_folder(pieces: Path, tmp_path: Path) -> Path:
    """A folder of JoeyNMT 2.x, whose config names the SentencePiece models by where they once were."""
    folder = tmp_path / "iwslt"
    shutil.copytree(PEERS / "joeynmt_gru_bahdanau", folder)
    shutil.copy(pieces, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    tokenizer = {"tokenizer_type": "sentencepiece", "tokenizer_cfg": {"model_file": f"/gone/{pieces.name}"}}
    config["data"] = {"src": {"lang": "de", "lowercase": True, **tokenizer}, "trg": {"lang": "en", **tokenizer}}
    (folder / "config.yaml").write_text(json.dumps(config), "utf-8")  # YAML, without aliases
    return folder


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_log_probabilities_are_those_of_the_peer(name: str, tmp_path: Path):
    convert(name, tmp_path / "ours")
    run = RunDir(tmp_path / "ours")
    model, _, task = load_model(run.best_checkpoint(), run.data)
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


def test_each_token_has_a_name_of_its_own():
    tokens = ["<unk>", "<blank>", "<s>", "</s>", "<8>", "a", "<pad>", "b c", "a\r", " ", "\u00a0", "<7>"]
    dictionary, ids = convert_vocabulary(tokens, Special(pad="<blank>"))
    names = dictionary.symbols
    assert ids == [2, 1, 3, 0, *range(4, len(tokens))] and len(names) == len(ids) == len(set(names))
    assert names[4:6] == ["<8>", "a"] and all(name.split() == [name] for name in names)


def test_all_kinds_are_there():
    assert len(MODELS) == 11 and {name.partition("_")[0] for name in MODELS} == {"opennmt1", "opennmt3", "joeynmt"}


@pytest.mark.parametrize(
    "name",
    [
        "joeynmt_gru_bahdanau",
        pytest.param("opennmt3_lstm_general", marks=pytest.mark.slow),
        pytest.param("opennmt3_copy", marks=pytest.mark.slow),
    ],
)
def test_a_run_becomes_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    sources = json.loads((PEERS / f"{name}.json").read_text("utf-8"))["sources"]
    (tmp_path / "lines.txt").write_text("\n".join(sources), "utf-8")
    convert(name, tmp_path / "old")
    expected = s2s_plugin.load("old").outputs(sources)
    export.run(["old", "--to", "old.s2s", "--examples", "lines.txt"])
    verify.run(["old.s2s"])
    assert "src to tgt, fp32; 2 examples have the expected outputs" in capsys.readouterr().out
    got = s2s_plugin.load("old.s2s").outputs(sources)
    assert [output.text for (output,) in got] == [output.text for (output,) in expected]
    assert [output.score for (output,) in got] == [output.score for (output,) in expected]
    with PackageFile(tmp_path / "old.s2s") as file:
        card = file.read(CARD).decode()
    toolkit = "JoeyNMT" if name.startswith("joeynmt") else "OpenNMT-py"
    assert f"imported from {toolkit}" in card and "license of the data" not in card and "datasets" not in card


@pytest.mark.slow
def test_without_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    convert("opennmt3_no_feed_dot", tmp_path / "old")
    export.run(["old", "--to", "old.s2s"])
    verify.run(["old.s2s"])
    assert "sound, but it has no examples" in capsys.readouterr().out


def test_sentencepiece_makes_text_of_tokens(
    joeynmt_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(tmp_path)
    joeynmt.run([str(joeynmt_folder)])  # finds the models by the config
    assert "its training text was in lower case" in capsys.readouterr().err
    convert("joeynmt_gru_bahdanau", tmp_path / "tokens")
    sources = ["abcde", "hgf"]
    text = s2s_plugin.load("runs/nmt/iwslt")
    assert (text.source_lang, text.target_lang) == ("de", "en")
    tokens = s2s_plugin.load("tokens").translate([" ".join(source) for source in sources])
    assert text.translate(sources) == [output.replace(" ", "") for output in tokens]


def test_the_models_may_be_named(pieces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    languages = ["--source-lang", "en", "--target-lang", "de"]
    opennmt.run([str(PEERS / "opennmt3_shared.pt"), "runs/nmt/old", "--source-model", str(pieces), *languages])
    out = capsys.readouterr().out
    assert out.startswith("runs/nmt/old: a model of OpenNMT-py, en to de, ") and "reads and writes text\n" in out
    assert "s2s translate app=nmt name=old" in out
    run = RunDir(Path("runs/nmt/old"))
    codec = PairCodec.load(run.data, "en", "de")
    assert codec is not None and codec.source is not None
    for side, language in ((codec.source, "en"), (codec.target, "de")):  # the ids of the peer, not of the pieces
        assert side.dictionary().symbols == load_dictionary(run.data, language).symbols
        assert side.dictionary().symbols != TextCodec(pieces).dictionary().symbols


def test_mistakes_with_models(pieces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = str(PEERS / "opennmt3_shared.pt")
    (tmp_path / "bpe.codes").write_text("#version: 0.2\na b</w>\n", "utf-8")
    SentencePieceTrainer.train(
        sentence_iterator=iter(["vwxyz"]), model_prefix="other", model_type="char", vocab_size=8, minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    for words, said in (
        (["--source-model", "none.model"], r"none\.model: no such SentencePiece model"),
        (
            ["--source-model", "bpe.codes"],
            r"not a SentencePiece model; codes of subword-nmt must be applied",
        ),
        (["--source-model", "other.model"], r"other\.model: not the model of this vocabulary: 0 of its 8 tokens"),
        (["--target-model", str(pieces)], "--target-model requires --source-model"),
        (["--source-lang", "en", "--target-lang", "en"], "must differ"),
        (["--source-lang", "../en"], "a language must be letters such as en"),
    ):
        with pytest.raises(UserError, match=said):
            opennmt.run([checkpoint, "run", *words])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_page_has_no_normalization_of_sentencepiece(pieces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    identity = train_pieces(tmp_path / "identity", normalization_rule_name="identity")
    for name, model in (("nfkc", pieces), ("plain", identity)):
        opennmt.run([str(PEERS / "opennmt3_gru_mlp.pt"), f"runs/nmt/{name}", "--source-model", str(model)])
    with pytest.raises(UserError, match="does not support SentencePiece's normalization nmt_nfkc"):
        export.run(["runs/nmt/nfkc", "--web", "page.html"])
    export.run(["runs/nmt/plain", "--web", "page.html"])
    assert (tmp_path / "page.html").is_file()


@pytest.mark.slow
def test_it_is_used_as_a_run(joeynmt_folder: Path, tmp_path: Path):
    call("s2s import-joeynmt iwslt runs/nmt/old", cwd=tmp_path)
    expected = s2s_plugin.load(tmp_path / "runs/nmt/old").translate("abcde")
    assert call("s2s translate app=nmt name=old abcde", cwd=tmp_path).stdout == f"{expected}\n"
    assert "runs/nmt/old  imported" in call("s2s list runs", cwd=tmp_path).stdout
    for stage, said in (("generate", "without data: s2s translate"), ("train", "finetune_from=old trains on from")):
        done = call(f"s2s {stage} app=nmt name=old", cwd=tmp_path, check=False)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr
    (tmp_path / "test.de").write_text("abc\nde fg\n", "utf-8")
    (tmp_path / "test.en").write_text("ABC\nDA BC\n", "utf-8")
    files = "data.test_source=test.de data.test_target=test.en"
    assert "Long sources" in call(f"s2s diagnose runs/nmt/old {files} diagnose.measures=[length]", cwd=tmp_path).stdout
    call("s2s export runs/nmt/old --onnx graphs", cwd=tmp_path)
    assert call("python graphs/translate.py abcde", cwd=tmp_path).stdout == f"{expected}\n"


@pytest.mark.slow
def test_training_goes_on_from_it(joeynmt_folder: Path, tmp_path: Path):
    call("s2s import-joeynmt iwslt runs/nmt/old", cwd=tmp_path)
    lines = ["".join(letters) for letters in itertools.product("abcdefgh", repeat=3)]
    (tmp_path / "my.de").write_text("\n".join(lines) + "\n", "utf-8")
    (tmp_path / "my.en").write_text("\n".join(line.upper() for line in lines) + "\n", "utf-8")
    files = "data.source=my.de data.target=my.en checkpoint_metric=loss optimization.max_update=2"
    call(f"s2s prepare app=nmt name=new finetune_from=old {files}", cwd=tmp_path)
    call(f"s2s train app=nmt name=new finetune_from=old {files}", cwd=tmp_path)
    old, new = (RunDir(tmp_path / f"runs/nmt/{name}") for name in ("old", "new"))
    for language in ("de", "en"):
        assert load_dictionary(new.data, language).symbols == load_dictionary(old.data, language).symbols


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
