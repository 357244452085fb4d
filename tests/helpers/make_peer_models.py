"""Make the small models of tests/stages/peers with the peers' own code: random weights, and what they compute.

    python -m venv peers
    peers/bin/pip install torch==2.13.0 numpy six pyyaml configargparse packaging pyonmttok torchtext==0.6.0 \\
        matplotlib tensorboard sentencepiece subword-nmt importlib_metadata sacrebleu rapidfuzz regex pyahocorasick \\
        fasttext-wheel spacy waitress flask
    peers/bin/pip install --no-deps OpenNMT-py==3.5.1 joeynmt==2.3.0
    peers/bin/python tests/helpers/make_peer_models.py opennmt3 tests/stages/peers
    peers/bin/python tests/helpers/make_peer_models.py joeynmt tests/stages/peers
    PYTHONPATH=OpenNMT-py-1.2.0 peers/bin/python tests/helpers/make_peer_models.py opennmt1 tests/stages/peers

OpenNMT-py-1.2.0 is its unpacked source archive. Next to each model, NAME.json has sources, targets, and the peer's
log-probability of each token of its target vocabulary at each target position.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import torch

WORDS = list("abcdefgh")
SOURCES = ["a b c d e", "h g f"]
TARGETS = ["B c A", "d D b a c"]
SIZE = 8
OPENNMT = {
    "opennmt3_lstm_general": {"encoder_type": "brnn", "layers": 2},
    "opennmt3_gru_mlp": {"encoder_type": "rnn", "rnn_type": "GRU", "global_attention": "mlp"},
    "opennmt3_no_feed_dot": {"encoder_type": "brnn", "global_attention": "dot", "input_feed": 0, "layers": 2},
    "opennmt3_copy": {"encoder_type": "brnn", "global_attention": "mlp", "copy_attn": True, "reuse_copy_attn": True},
    "opennmt3_shared": {"encoder_type": "brnn", "share_decoder_embeddings": True},
}
JOEYNMT = {
    "joeynmt_gru_bahdanau": {"attention": "bahdanau", "init_hidden": "bridge", "rnn_type": "gru", "num_layers": 2},
    "joeynmt_lstm_luong": {"attention": "luong", "init_hidden": "bridge", "rnn_type": "lstm", "input_feeding": False},
    "joeynmt_gru_last": {"attention": "luong", "init_hidden": "last", "rnn_type": "gru", "scale": True},
    "joeynmt_lstm_zero": {"attention": "bahdanau", "init_hidden": "zero", "rnn_type": "lstm", "num_layers": 2},
}


def options(settings: dict) -> Namespace:
    """Return the options of OpenNMT-py that its builder reads."""
    layers = settings.get("layers", 1)
    base = {
        "model_type": "text", "model_task": "seq2seq", "encoder_type": "rnn", "decoder_type": "rnn", "rnn_type": "LSTM",
        "src_word_vec_size": SIZE, "tgt_word_vec_size": SIZE, "word_vec_size": SIZE, "layers": layers,
        "enc_layers": layers, "dec_layers": layers, "enc_hid_size": SIZE, "dec_hid_size": SIZE,
        "enc_rnn_size": SIZE, "dec_rnn_size": SIZE,
        "rnn_size": SIZE, "brnn": settings["encoder_type"] == "brnn", "global_attention": "general",
        "global_attention_function": "softmax", "generator_function": "softmax", "input_feed": 1, "bridge": False,
        "context_gate": None, "coverage_attn": False, "copy_attn": False, "copy_attn_type": None,
        "reuse_copy_attn": False, "copy_attn_force": False, "dropout": [0.0], "attention_dropout": [0.0],
        "share_embeddings": False, "share_decoder_embeddings": False, "position_encoding": False,
        "position_encoding_type": "SinusoidalInterleaved", "feat_merge": "concat", "feat_vec_exponent": 0.7,
        "feat_vec_size": -1, "optim": "adam", "freeze_word_vecs_enc": False, "freeze_word_vecs_dec": False,
        "fix_word_vecs_enc": False, "fix_word_vecs_dec": False, "param_init": 0.5, "param_init_glorot": False,
        "pre_word_vecs_enc": None, "pre_word_vecs_dec": None, "gpu_ranks": [], "model_dtype": "fp32", "save_model": "",
    }  # fmt: skip
    return Namespace(**(base | settings))


def randomize(model: torch.nn.Module) -> None:
    """Give every parameter a random value."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)


def write_expected(path: Path, log_probs: list, tokens: list[str]) -> None:
    """Write the batch and what a peer computes for it."""
    rows = [[[round(float(value), 6) for value in step] for step in item] for item in log_probs]
    content = {"sources": SOURCES, "targets": TARGETS, "tokens": tokens, "log_probs": rows}
    path.write_text(json.dumps(content) + "\n", "utf-8")


def opennmt_log_probs(model, src_ids: dict, tgt_ids: dict, batch_first: bool, copies: bool) -> list:
    """Run a model of OpenNMT-py on each pair by itself."""
    results = []
    for source, target in zip(SOURCES, TARGETS, strict=True):
        words = source.split()
        src = torch.tensor([[src_ids[word] for word in words]]).unsqueeze(2)
        tgt = torch.tensor([[tgt_ids["<s>"], *(tgt_ids[word] for word in target.split())]]).unsqueeze(2)
        length = torch.tensor([len(words)])
        if not batch_first:
            src, tgt = src.transpose(0, 1), tgt.transpose(0, 1)
        first, second, *_ = model.encoder(src, length)
        final, memory = (second, first) if batch_first else (first, second)
        model.decoder.init_state(src, memory, final)
        outputs, attention = model.decoder(tgt, memory, **{"src_len" if batch_first else "memory_lengths": length})
        outputs = outputs.reshape(-1, outputs.size(-1))
        if not copies:
            generated = model.generator(outputs)
            results.append((generated.log_softmax(-1) if batch_first else generated).tolist())
            continue
        weights = attention["copy"].reshape(len(outputs), -1)  # one step each
        src_map = torch.eye(len(words)).unsqueeze(0)
        joint = model.generator(outputs, weights, src_map if batch_first else src_map.transpose(0, 1))
        p = joint[:, : len(tgt_ids)].clone()
        for place, word in enumerate(words):  # collapse_copy_scores
            p[:, tgt_ids.get(word, tgt_ids["<unk>"])] += joint[:, len(tgt_ids) + place]
        results.append(p.clamp_min(1e-30).log().tolist())
    return results


def make_opennmt3(folder: Path) -> None:
    """Make models with OpenNMT-py 3.x."""
    from onmt.inputters.inputter import dict_to_vocabs
    from onmt.model_builder import build_base_model
    from onmt.models.model_saver import ModelSaver

    special = ["<unk>", "<blank>", "<s>", "</s>"]
    plain = {"src": special + WORDS, "tgt": special + WORDS[:4] + list("ABCD"), "data_task": "seq2seq"}
    for name, settings in OPENNMT.items():
        vocabs, opt = dict_to_vocabs(plain | {"decoder_start_token": "<s>"}), options(settings)
        model = build_base_model(opt, vocabs).eval()
        randomize(model)
        saver = ModelSaver(str(folder / name), model, opt, vocabs, Namespace(state_dict=dict), -1, "pytorch", 0)
        Path(saver._save(0, model)[0]).rename(folder / f"{name}.pt")
        ids = [{token: number for number, token in enumerate(plain[side])} for side in ("src", "tgt")]
        with torch.no_grad():
            log_probs = opennmt_log_probs(model, *ids, True, opt.copy_attn)
        write_expected(folder / f"{name}.json", log_probs, plain["tgt"])


def make_opennmt1(folder: Path) -> None:
    """Make a model with OpenNMT-py 1.x, whose checkpoint has fields of torchtext."""
    from collections import Counter

    import onmt.inputters
    from onmt.model_builder import build_base_model

    name, opt = "opennmt1_lstm_mlp", options({"encoder_type": "brnn", "global_attention": "mlp"})
    fields = onmt.inputters.get_fields("text", 0, 0)
    for side, words in (("src", WORDS), ("tgt", WORDS[:4] + list("ABCD"))):
        field = fields[side].base_field
        specials = [each for each in (field.unk_token, field.pad_token, field.init_token, field.eos_token) if each]
        field.vocab = field.vocab_cls(Counter(words), specials=specials)
    model = build_base_model(opt, fields, gpu=False).eval()
    randomize(model)
    weights, generator = model.state_dict(), model.generator.state_dict()
    weights = {key: value for key, value in weights.items() if "generator" not in key}  # as ModelSaver does
    state = {"model": weights, "generator": generator, "vocab": fields, "opt": opt, "optim": {}}
    torch.save(state, folder / f"{name}.pt")
    old = f"{name}_no_zip"  # as torch wrote files before 1.6
    torch.save(state, folder / f"{old}.pt", _use_new_zipfile_serialization=False)
    ids = [fields[side].base_field.vocab.stoi for side in ("src", "tgt")]
    with torch.no_grad():
        log_probs = opennmt_log_probs(model, *ids, False, False)
    for file in (name, old):
        write_expected(folder / f"{file}.json", log_probs, fields["tgt"].base_field.vocab.itos)


def make_joeynmt(folder: Path) -> None:
    """Make models with JoeyNMT 2.x."""
    import yaml
    from joeynmt.model import build_model
    from joeynmt.vocabulary import Vocabulary

    names = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "sep_token": None}
    special = Namespace(**names, unk_id=0, pad_id=1, bos_id=2, eos_id=3, lang_tags=[])
    source, target = Vocabulary(WORDS, special), Vocabulary(WORDS[:4] + list("ABCD"), special)
    for name, settings in JOEYNMT.items():
        settings = dict(settings)
        embeddings = {"embedding_dim": SIZE, "scale": settings.pop("scale", False)}
        shared = {"type": "recurrent", "hidden_size": SIZE, "embeddings": embeddings, "rnn_type": settings["rnn_type"]}
        config = {"encoder": shared | {"bidirectional": True, "num_layers": 1}, "decoder": shared | settings}
        model = build_model(config, src_vocab=source, trg_vocab=target).eval()
        randomize(model)
        run = folder / name
        run.mkdir(exist_ok=True)
        (run / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps({"model": config, "data": {}}))), "utf-8")
        source.to_file(run / "src_vocab.txt")
        target.to_file(run / "trg_vocab.txt")
        torch.save({"steps": 1, "best_ckpt_score": float("inf"), "model_state": model.state_dict()}, run / "best.ckpt")
        results = []
        for pair in zip(SOURCES, TARGETS, strict=True):
            src = torch.tensor([[*map(source.lookup, pair[0].split()), source.eos_index]])
            trg = torch.tensor([[target.bos_index, *map(target.lookup, pair[1].split())]])
            mask = torch.ones(1, 1, src.size(1), dtype=torch.bool)
            with torch.no_grad():
                memory, final, *_ = model._encode(src, torch.tensor([src.size(1)]), mask)
                output, *_ = model._decode(memory, final, mask, trg, trg.size(1))
            results.append(output[0].log_softmax(-1).tolist())
        write_expected(folder / f"{name}.json", results, target._itos)


if __name__ == "__main__":
    MAKERS = {"opennmt3": make_opennmt3, "opennmt1": make_opennmt1, "joeynmt": make_joeynmt}
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    MAKERS[sys.argv[1]](Path(sys.argv[2]))
