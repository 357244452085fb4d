"""Checkpoints and configs as an attacker or a failing disk would leave them; ``CANARY`` must not run."""

from __future__ import annotations

import io
import os
import random
import zipfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

CANARY = "__import__('pathlib').Path('{path}').touch()"
EVALUATED = {  # what fairseq passes to eval, by the kind of part and its name
    ("task", "multilingual_translation"): ("left_pad_source", "left_pad_target"),
    ("task", "online_backtranslation"): ("left_pad_source", "left_pad_target"),
    ("task", "translation_multi_simple_epoch"): ("left_pad_source", "langs"),
    ("task", "audio_pretraining"): ("post_save_script",),
    ("model", "lstm"): ("decoder_attention", "adaptive_softmax_cutoff"),
    ("model", "fconv"): ("encoder_layers", "decoder_layers", "decoder_attention"),
    ("model", "fconv_self_att"): ("pretrained", "self_attention"),
    ("model", "transformer_lm"): ("character_filters", "adaptive_input_cutoff"),
    ("model", "lightconv"): ("encoder_kernel_size_list", "adaptive_softmax_cutoff"),
    ("model", "wav2vec2"): ("conv_feature_layers",),
    ("model", "hubert"): ("conv_feature_layers",),
    ("model", "s2spect_transformer"): ("decoder_attention",),
    ("criterion", "ctc"): ("wer_args",),
    ("criterion", "composite_loss"): ("underlying_criterion",),
}


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable, *arguments: object):
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def changed(state: dict, group: str, **options: object) -> dict:
    """The checkpoint with other options in a group of its config."""
    return {**state, "cfg": {**state["cfg"], group: {**state["cfg"][group], **options}}}


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def laughs(depth: int) -> list:
    value: list = ["ha"] * 10
    for _ in range(depth):
        value = [value] * 10
    return value


def hostile_states(state: dict, canary: Path) -> Iterator[tuple[str, Any]]:
    """What ``torch.save`` may be given."""
    code = CANARY.format(path=canary)
    for (group, name), keys in EVALUATED.items():
        for key in keys:
            yield f"eval {group} {name} {key}", changed(state, group, _name=name, task=name, arch=name, **{key: code})
    for group, key in (("task", "left_pad_source"), ("model", "decoder_attention"), ("criterion", "wer_args"),
                       ("common", "left_pad_source"), ("dataset", "x y\n\x1b[2J")):  # fmt: skip
        yield f"unknown {group} {key!r}", changed(state, group, **{key: code})
    yield "unknown group", {**state, "cfg": {**state["cfg"], "left_pad_source": code}}
    yield "unknown entry", {**state, "left_pad_source": code}
    yield "args", {**state, "args": Namespace(task="multilingual_translation", left_pad_source=code, arch="s2s")}
    yield "args with eval_str_list", {**state, "args": Namespace(arch="lstm", adaptive_softmax_cutoff=code)}
    yield "namespace as task", {**state, "cfg": {**state["cfg"], "task": Namespace(task="s2s", left_pad_source=code)}}
    yield (
        "namespace as model",
        {**state, "cfg": {**state["cfg"], "model": Namespace(arch="s2s", decoder_attention=code)}},
    )
    for group, key, value in (
        *(("model", "encoder_layers", each) for each in (10**9, -1, 2**62, 2**70, 10**3000, "two", 1.5, None, [1], {})),
        *(("model", "decoder_hidden_size", each) for each in (10**12, 0, "x" * 10**6)),
        *(("model", key, 10**9) for key in ("encoder_embed_dim", "encoder_pyramid", "decoder_layers")),
        *(("model", key, "other") for key in ("attention", "encoder_cell", "bridge", "decoder_type", "dropout", "ctc")),
        ("model", "adaptive_cutoffs", code),
        ("task", "data", ["a", "b"]), ("task", "eval_metric", code), ("task", "seed", code),
        ("task", "max_source_positions", "${oc.env:HOME}"), ("task", "source_lang", "${oc.env:HOME}"),
        ("task", "_name", None), ("task", "_name", ["s2s"]), ("task", "_name", 7),
        ("model", "_name", "s2s_conformer"), ("model", "_name", "s2s\x1b]0;title\x07"), ("model", "_name", 1),
        ("criterion", "_name", "model"), ("criterion", "label_smoothing", code), ("scoring", "_name", "bert_score"),
        ("common", "seed", code), ("common", "user_dir", "${oc.decode:x}"), ("generation", "beam", [5]),
    ):  # fmt: skip
        yield (
            f"{group}.{key} {str(value)[:20] if not isinstance(value, int) else 'int'}",
            changed(state, group, **{key: value}),
        )
    yield "other folder", changed(state, "task", source_lang="/../../../etc/passwd\n", target_lang="tgt")
    yield "config as text", {**state, "cfg": code}
    yield "config as list", {**state, "cfg": [state["cfg"]]}
    yield "group as text", {**state, "cfg": {**state["cfg"], "task": code}}
    yield "no task", {**state, "cfg": {**state["cfg"], "task": None}}
    yield "no model", {**state, "model": {}}
    yield "empty", {}
    yield "a list", [state]
    yield "a tensor", torch.zeros(3)
    yield "deep", {**state, "task_state": {"a": nested(150)}}
    yield "laughs", {**state, "task_state": {"a": laughs(9)}}
    yield "key that is a tuple", {**state, "task_state": {(1, 2): 3}}
    yield "history", {**state, "optimizer_history": [code]}
    yield "updates", {**state, "optimizer_history": [{"num_updates": code}]}
    name = next(iter(state["model"]))
    for kind, value in (
        ("text", code),
        ("expanded", torch.zeros(1).expand(10**6, 10**6)),
        ("sparse", torch.eye(3).to_sparse()),
        ("complex", torch.zeros(3, dtype=torch.complex64)),
        ("meta", torch.empty(10**6, 10**6, device="meta")),
        ("scalar", torch.tensor(1.0)),
    ):
        yield f"weight {kind}", {**state, "model": {**state["model"], name: value}}
    extra = OrderedDict(state["model"])
    extra.__dict__["values"] = code
    yield "state dict with attributes", {**state, "model": extra}
    yield "parameter", {**state, "model": {**state["model"], "x\x1b[31m": torch.zeros(1)}}
    for function, *arguments in (
        (os.system, f"touch {canary}"), (eval, code), (exec, code), (__import__, "antigravity"),
        (torch.load, str(canary)), (np.dtype, "O"), (np.zeros, 3), (open, canary, "w"), (os.mkdir, str(canary)),
    ):  # fmt: skip
        yield f"call {function.__name__}", {**state, "task_state": Calls(function, *arguments)}


def hostile_training_states(state: dict) -> Iterator[tuple[str, dict]]:
    """What only a training that goes on reads."""
    optimizer, extra = state["last_optimizer_state"], state["extra_state"]
    yield "optimizer", {**state, "last_optimizer_state": {**optimizer, "param_groups": []}}
    for name, value in (
        ("metrics", {"train": [[0, "x", "Namespace", {}]]}), ("train_iterator", {"epoch": "x"}), ("ema", {"x": "y"}),
    ):  # fmt: skip
        yield name, {**state, "extra_state": {**extra, name: value}}


def hostile_pickles(canary: Path) -> Iterator[tuple[str, bytes]]:
    """Pickles by opcode, to be put in the archive of ``torch.save``."""
    path = str(canary).encode()
    yield "global", b"cposix\nsystem\n(Vtouch " + path + b"\ntR."
    yield "inst", b"(Vtouch " + path + b"\niposix\nsystem\n."
    yield "obj", b"(cposix\nsystem\nVtouch " + path + b"\no."
    yield (
        "stack_global",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([6 + len(path)]) + b"touch " + path + b"\x85R.",
    )
    yield "newobj", b"\x80\x02cpathlib\nPath\n)\x81."
    yield "persistent id", b"Vposix.system\nQ."
    yield "extension", b"\x80\x02\x82\x01."
    yield "getattr", b"cbuiltins\ngetattr\n(ctorch\nload\nV__globals__\ntR."
    yield "dotted", b"\x80\x04\x8c\x05torch\x8c\x11serialization.os\x93."
    yield "many frames", b"\x80\x04" + b"\x95\x00\x00\x00\x00\x00\x00\x00\x00" * 1000 + b"."
    yield "no end", b"\x80\x02]("
    yield "huge binary", b"\x80\x04\x8e" + b"\xff" * 8 + b"x."
    yield "huge memo", b"\x80\x02]r\xff\xff\xff\x7f."
    yield "empty stack", b"0."
    yield "nothing", b""
    yield "deep", b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    yield "cycle", b"\x80\x02]q\x00h\x00a."


def damaged(content: bytes) -> Iterator[tuple[str, bytes]]:
    """A checkpoint cut short, zeroed or with one bit changed, in places of every kind."""
    draw = random.Random(1)
    for place in (0, 1, 3, 4, 100, 5000, len(content) // 2, len(content) - 1000, len(content) - 22, len(content) - 1):
        yield f"cut at {place}", content[:place]
    yield "zeros", bytes(len(content))
    for start in (0, 64, len(content) // 2, len(content) - 4096):
        yield f"zeros from {start}", content[:start] + bytes(4096) + content[start + 4096 :]
    yield "twice", content[: len(content) // 2] * 2
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    for _ in range(30):
        member = draw.choice([each for each in members if each.file_size])
        start = member.header_offset + 30
        start += int.from_bytes(content[start - 4 : start - 2], "little") + int.from_bytes(
            content[start - 2 : start], "little"
        )
        place = start + draw.randrange(member.file_size)
        flipped = bytearray(content)
        flipped[place] ^= 1 << draw.randrange(8)
        yield f"bit in {member.filename} at {place}", bytes(flipped)


def rezipped(content: bytes, data: bytes | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """The archive with another pickle, or compressed; its checksums are right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w", compression) as target:
        for member in source.infolist():
            new = data is not None and member.filename.endswith("/data.pkl")
            target.writestr(member.filename, data if new else source.read(member))
    return out.getvalue()


def hostile_configs(config: dict, canary: Path) -> Iterator[tuple[str, str]]:
    """The text of a run's ``config.yaml``."""
    code = CANARY.format(path=canary)

    def dump(group: str, **options: object) -> str:
        return yaml.safe_dump({**config, group: {**config[group], **options}}, allow_unicode=False)

    whole = yaml.safe_dump(config)
    for (group, name), keys in EVALUATED.items():
        if group != "criterion":
            yield f"eval {group} {name}", dump(group, _name=name, task=name, **dict.fromkeys(keys, code))
    for key, value in (
        ("data", "${oc.env:HOME}"), ("source_lang", "${oc.decode:'[1]'}"), ("left_pad_source", code), ("seed", code),
        ("eval_beam", "${gpu_count:}"), ("data", ["x"]), ("seed", 2**80), ("_name", "translation"),
    ):  # fmt: skip
        yield f"task.{key}={value}", dump("task", **{key: value})
    yield "language model", dump("generation", lm_path="lm.pt", lm_weight=0.5)
    yield "generation.beam", dump("generation", beam=code)
    yield "scoring", dump("scoring", _name="bert_score")
    yield "scoring tokenizer", dump("scoring", sacrebleu_tokenizer="${oc.env:HOME}")
    yield "unknown group", whole + "hydra: {callbacks: {x: {_target_: os.system}}}\n"
    yield "target", dump("data", _target_="os.system")
    for kind, text in (
        ("python tag", "!!python/object/apply:os.system ['touch {path}']"),
        ("other tag", "!x 1"),
        ("anchor", "&a [1]\nb: *a"),
        ("merge", "&a {b: 1}\nc:\n  <<: *a"),
        ("laughs", "\n" + "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9) if n else 'ha'}]\n" for n in range(9))),
        ("depth", "[" * 5000 + "]" * 5000),
        ("open", "[[["),
        ("number", "9" * 5000),
        ("key", "{[1, 2]: 3}"),
        ("control", '"\x01"'),
        ("date", "2024-01-01"),
        ("binary", "!!binary aGk="),
        ("values", "[" + "1," * 30_000 + "]"),
        ("escaped", r'"$\u007boc.env:HOME}"'),
    ):
        yield f"YAML {kind}", f"{whole}x: {text.replace('{path}', str(canary))}\n"
    yield "duplicate", whole + whole
    yield "text", "just text"
    yield "list", "- a\n- b\n"
    yield "number alone", "7"
    yield "large", whole + "# " + "x" * 2_000_000
    yield "cut", whole[: len(whole) // 2] + '"'
