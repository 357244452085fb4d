"""The small experiments of the chapter, on the translator of ``make run``: ``python docs/chapter.py NAME``."""

from __future__ import annotations

import logging
import sys
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torch.nn.utils.rnn import pad_sequence

from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.tasks.checkpoint import load_model

SOURCES = ["Save the document.", "Copy the file to the folder."]
TARGETS = ["Speichern Sie das Dokument.", "Kopieren Sie die Datei in den Ordner."]


def load(folder: str = "runs/nmt/default"):
    """Return the trained model and its task."""
    run = RunDir(Path(folder))
    model, _, task = load_model(run.best_checkpoint(), run.data)
    return model.eval(), task


def source_ids(task, text: str) -> Tensor:
    """Return x_1..x_n; x_n is </s>."""
    return task.source_dictionary.encode_line(task.codec.encode(text), add_if_not_exist=False).long()


def target_ids(task, text: str) -> Tensor:
    """Return y_1..y_m; y_m is </s>."""
    return task.target_dictionary.encode_line(task.codec.target.encode(text), add_if_not_exist=False).long()


def shift(target: Tensor) -> Tensor:
    """Turn y_1..y_m into what the decoder reads: </s>, y_1..y_(m-1)."""
    return torch.cat((target[-1:], target[:-1]))


def choices(model, task):
    """Print the three most probable tokens of each time step, and read the best one in the next."""
    source, dictionary = source_ids(task, SOURCES[0]).unsqueeze(0), task.target_dictionary
    memory = model.encode(source, torch.tensor([source.size(1)]))
    state, token = model.decoder.rnn.initial_state(memory), torch.tensor([dictionary.eos()])
    for _ in range(10):
        embedded = model.decoder.embedding(token)
        state, features, attention = model.decoder.rnn.step(embedded, state, memory)
        probs = model.decoder.generator(features, attention, memory).softmax(-1)  # 1 x V
        best = probs[0].topk(3)
        print("  ".join(f"{dictionary[i]} {p:.2f}" for p, i in zip(best.values, best.indices.tolist(), strict=True)))
        token = best.indices[:1]
        if token == dictionary.eos():
            break


def embedding(model, task):
    """Embed a sentence."""
    tokens = source_ids(task, SOURCES[0])
    embedded = model.encoder.embedding(tokens.unsqueeze(0))
    table = model.encoder.embedding.table.weight
    print("tokens  ", " ".join(task.source_dictionary[i] for i in tokens.tolist()))
    print("ids     ", 1, *tokens.shape)
    print("table   ", *table.shape)
    print("embedded", *embedded.shape)
    print("row of the table:", torch.equal(embedded[0, 0], table[tokens[0]]))
    print("one table for both sides:", table is model.decoder.embedding.table.weight)


def encoder(model, task):
    """Encode two sentences of different lengths."""
    texts = [source_ids(task, text) for text in SOURCES]
    lengths = torch.tensor([len(text) for text in texts])
    memory = model.encode(pad_sequence(texts, batch_first=True, padding_value=task.source_dictionary.pad()), lengths)
    alone = model.encode(texts[0].unsqueeze(0), lengths[:1])
    print("lengths ", *lengths.tolist())
    print("values  ", *memory.values.shape)
    print("padding ", *memory.padding_mask.sum(1).tolist())
    print("final   ", *memory.final.shape)
    same = torch.allclose(memory.values[0, : lengths[0]], alone.values[0], atol=1e-4)
    print("padding changes nothing:", same)


def decoder(model, task):
    """Decode with teacher forcing, at once and step by step."""
    source, target = source_ids(task, SOURCES[0]).unsqueeze(0), target_ids(task, TARGETS[0])
    memory = model.encode(source, torch.tensor([source.size(1)]))
    embedded = model.decoder.embedding(shift(target).unsqueeze(0))
    features, attention = model.decoder.rnn(embedded, memory)  # teacher forcing, all steps
    state, steps = model.decoder.rnn.initial_state(memory), []
    for step in embedded.unbind(1):  # the same, step by step, as the search does
        state, output, _ = model.decoder.rnn.step(step, state, memory)
        steps.append(output)
    print("embedded ", *embedded.shape)
    print("state    ", *state.layers.shape)
    print("features ", *features.shape)
    print("attention", *attention.shape)
    print("step by step is the same:", torch.allclose(features, torch.stack(steps, 1), atol=1e-4))


def generator(model, task):
    """Compute the probability of a translation."""
    source, target = source_ids(task, SOURCES[0]).unsqueeze(0), target_ids(task, TARGETS[0])
    logits, _ = model(source, torch.tensor([source.size(1)]), shift(target).unsqueeze(0))
    log_probs = logits.log_softmax(-1)
    chosen = log_probs[0, torch.arange(len(target)), target]
    print("logits", *logits.shape)
    print("each step sums to 1:", torch.allclose(log_probs.exp().sum(-1), torch.ones(1), atol=1e-4))
    print("log P(y_t | X, y_<t)", *(f"{each:.2f}" for each in chosen))
    print(f"log P(Y | X) = {chosen.sum():.2f}, of a token {chosen.mean():.2f}")


def loss(model, task):
    """Compute the loss of a batch of two sentences, and its gradient."""
    sources, targets = [source_ids(task, text) for text in SOURCES], [target_ids(task, text) for text in TARGETS]
    pad = partial(pad_sequence, batch_first=True, padding_value=task.target_dictionary.pad())
    lengths, target = torch.tensor([len(source) for source in sources]), pad(targets)
    logits, _ = model(pad(sources), lengths, pad([shift(each) for each in targets]))
    with torch.inference_mode(False):
        logits = logits.clone().requires_grad_()
        real = target.ne(task.target_dictionary.pad())  # what is not padding
        nll = cross_entropy(logits[real], target[real], reduction="sum")
        nll.backward()
    error = (logits.softmax(-1) - one_hot(target, logits.size(-1))) * real.unsqueeze(-1)
    smoothed = cross_entropy(logits[real], target[real], reduction="sum", label_smoothing=0.1)
    tokens = real.sum()
    print("target ", *target.shape)
    print("tokens ", tokens.item())
    print(f"loss of a token: {nll / tokens:.2f}, perplexity {(nll / tokens).exp():.2f}")
    print(f"with smoothed labels: {smoothed / tokens:.2f}")
    print("its gradient is softmax - one-hot:", torch.allclose(logits.grad, error, atol=1e-4))


EXPERIMENTS = {each.__name__: each for each in (choices, embedding, encoder, decoder, generator, loss)}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in EXPERIMENTS:
        sys.exit(f"usage: python docs/chapter.py {'|'.join(EXPERIMENTS)}")
    logging.disable(logging.INFO)
    with torch.inference_mode():
        EXPERIMENTS[sys.argv[1]](*load())
