"""One system of ``search_peers.py``: build its model with random weights, then translate what is requested.

    python bench/peer_worker.py NAME THREADS

Runs in the environment that has the system, and imports torch and that system alone. A request is a line of standard
input, the JSON ``{"sources": [[token, ...], ...], "beam": K}``, longest source first; the answer is a line of standard
output, ``{"seconds": S, "outputs": [[token, ...], ...]}``, the best hypotheses. The first line of output, before any
request, is ``{"parameters": N, "versions": {...}}``. Batches are made and outputs are read outside the measured time.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

VOCABULARY, WIDTH, LAYERS, STEPS = 8000, 512, 2, 25
Sources = list[list[int]]
Search = Callable[[], Any]  # what is measured
Read = Callable[[Any], list[list[int]]]  # the best hypotheses of what it returns
MakeSearch = Callable[[Sources, int], tuple[Search, Read]]  # the int is the beam


def padded(sources: Sources, padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens ``[B, S]``, padded on the right, and lengths ``[B]``."""
    tokens = torch.tensor(list(itertools.zip_longest(*sources, fillvalue=padding))).T.contiguous()
    return tokens, torch.tensor([len(source) for source in sources])


def words(specials: int) -> list[str]:
    """Return the vocabulary without its special tokens."""
    return [f"w{index}" for index in range(VOCABULARY - specials)]


def fairseq(name: str) -> tuple[nn.Module, MakeSearch]:
    """Build stock fairseq's ``lstm`` and search, or ours with the same weights."""
    from search_models import STOCK, System, systems, untrained

    pair = untrained()
    model = (pair.stock if name == STOCK else pair.ours).eval()
    length = {"max_len_b": STEPS - 1, "min_len": STEPS - 1}
    searches: dict[int, System] = {}

    def make_search(sources: Sources, beam: int) -> tuple[Search, Read]:
        if beam not in searches:
            searches[beam] = systems({name: model}, pair.task.target_dictionary, beam, length)[name]
        tensors = [torch.tensor(source) for source in sources]
        dataset = pair.task.build_dataset_for_inference(tensors, [len(source) for source in sources])
        batch = dataset.collater([dataset[index] for index in range(len(sources))])
        order = batch["id"].argsort().tolist()
        return (
            lambda: searches[beam].translate([batch])[0],
            lambda hypotheses: [hypotheses[row][0] for row in order],
        )

    return model, make_search


def joeynmt(name: str) -> tuple[nn.Module, MakeSearch]:
    """Build JoeyNMT's recurrent model and search."""
    from types import SimpleNamespace

    from joeynmt.batch import Batch
    from joeynmt.config import _check_special_symbols
    from joeynmt.model import build_model
    from joeynmt.search import search
    from joeynmt.vocabulary import Vocabulary

    special = SimpleNamespace(**_check_special_symbols({}))
    vocabulary = Vocabulary(words(4), special)
    part = {"type": "recurrent", "rnn_type": "lstm", "num_layers": LAYERS, "embeddings": {"embedding_dim": WIDTH}}
    cfg = {
        "tied_embeddings": True,
        "tied_softmax": True,
        "encoder": {**part, "hidden_size": WIDTH // 2, "bidirectional": True},
        "decoder": {**part, "hidden_size": WIDTH, "attention": "luong", "input_feeding": True, "init_hidden": "bridge"},
    }
    model = build_model(cfg, vocabulary, vocabulary).eval()

    def make_search(sources: Sources, beam: int) -> tuple[Search, Read]:
        tokens, lengths = padded(sources, model.pad_index)
        batch = Batch(
            tokens, lengths, None, None, None, torch.arange(len(sources)), torch.device("cpu"), model.pad_index,
            model.eos_index, is_train=False,
        )  # fmt: skip
        return (
            lambda: search(model, batch, STEPS, beam, beam_alpha=-1, min_output_length=STEPS),
            lambda result: result[0].tolist(),
        )

    return model, make_search


def opennmt(name: str) -> tuple[nn.Module, MakeSearch]:
    """Build OpenNMT-py's recurrent model and search."""
    import pyonmttok
    from onmt.constants import DefaultTokens
    from onmt.model_builder import build_base_model
    from onmt.opts import model_opts
    from onmt.translate import GNMTGlobalScorer, Translator
    from onmt.utils.parse import ArgumentParser

    special = [DefaultTokens.UNK, DefaultTokens.PAD, DefaultTokens.BOS, DefaultTokens.EOS]
    vocabulary = pyonmttok.build_vocab_from_tokens(words(4), special_tokens=special)
    vocabularies = {"src": vocabulary, "tgt": vocabulary, "decoder_start_token": DefaultTokens.BOS}
    parser = ArgumentParser()
    model_opts(parser)
    options = parser.parse_args(
        f"--encoder_type brnn --decoder_type rnn --rnn_type LSTM --layers {LAYERS} --hidden_size {WIDTH} "
        f"--word_vec_size {WIDTH} --global_attention general --input_feed 1 --share_embeddings "
        "--share_decoder_embeddings".split()
    )
    training_options = {"dropout": 0.0, "freeze_word_vecs_enc": False, "freeze_word_vecs_dec": False, "optim": "adam"}
    vars(options).update(training_options)  # the builder reads them
    ArgumentParser.update_model_opts(options)
    model = build_base_model(options, vocabularies).eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.1, 0.1)  # as onmt_train does with its --param_init 0.1

    def make_search(sources: Sources, beam: int) -> tuple[Search, Read]:
        translator = Translator(
            model, vocabularies, beam_size=beam, min_length=STEPS, max_length=STEPS, max_length_ratio=0, dump_beam="",
            global_scorer=GNMTGlobalScorer(0.0, 0.0, "none", "none"),
        )  # fmt: skip
        tokens, lengths = padded(sources, vocabulary[DefaultTokens.PAD])
        batch = {"src": tokens.unsqueeze(2), "srclen": lengths}
        return (
            lambda: translator.translate_batch(batch, attn_debug=False),
            lambda result: [best[0].tolist() for best in result["predictions"]],
        )

    return model, make_search


def yoyodyne(name: str) -> tuple[nn.Module, MakeSearch]:
    """Build Yoyodyne's LSTM with attention and its search."""
    import lightning
    from yoyodyne import special
    from yoyodyne.data import Batch, PaddedTensor
    from yoyodyne.models import SoftAttentionLSTMModel
    from yoyodyne.models.modules import LSTMEncoder

    encoder = LSTMEncoder(embedding_size=WIDTH, hidden_size=WIDTH // 2, layers=LAYERS, bidirectional=True, dropout=0.0)
    model = SoftAttentionLSTMModel(
        source_encoder=encoder, decoder_hidden_size=WIDTH, decoder_layers=LAYERS, decoder_dropout=0.0,
        embedding_size=WIDTH, max_target_length=STEPS, vocab_size=VOCABULARY, target_vocab_size=VOCABULARY,
    ).eval()  # fmt: skip
    nn.init.constant_(model.classifier.bias[special.END_IDX], -1e9)  # it has no minimum length
    model.trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)

    def make_search(sources: Sources, beam: int) -> tuple[Search, Read]:
        model.beam_width = beam
        batch = Batch(PaddedTensor([torch.tensor(source) for source in sources]))
        predict = torch.inference_mode()(lambda: model.predict_step(batch, 0))  # as Lightning's trainer calls it
        if beam == 1:
            return predict, lambda result: result.tolist()
        return predict, lambda result: result[0][:, 0, 1:].tolist()  # without <S>

    return model, make_search


PEERS = {"JoeyNMT": joeynmt, "OpenNMT-py": opennmt, "Yoyodyne": yoyodyne}


def main() -> None:
    """Answer requests until standard input ends."""
    name, threads = sys.argv[1], int(sys.argv[2])
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries may print
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    package = name if name in PEERS else "fairseq-fixed"
    model, make_search = PEERS.get(name, fairseq)(name)
    count = sum(parameter.numel() for parameter in model.parameters())
    versions = {package: version(package), "torch": version("torch")}
    print(json.dumps({"parameters": count, "versions": versions}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        search, read = make_search(request["sources"], request["beam"])
        started = time.perf_counter()
        result = search()
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "outputs": read(result)}), file=answers, flush=True)


if __name__ == "__main__":
    main()
