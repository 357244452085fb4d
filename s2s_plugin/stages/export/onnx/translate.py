"""Decode with the graphs of this folder: python translate.py [--beam 5] "A sentence." or standard input.

It requires onnxruntime, sentencepiece and numpy; model.json says if it reads text, tokens or features (.npy).
"""

import argparse
import json
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
import onnxruntime
from sentencepiece import SentencePieceProcessor

NEXT = "next_"  # prefix of the states that a step returns
Values = dict[str, np.ndarray]  # inputs and outputs of graphs


class Model:
    """The graphs, vocabularies and settings in a folder."""

    def __init__(self, folder: Path, threads: int = 1):
        self.config = json.loads((folder / "model.json").read_text("utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        graphs = ("encoder", "step", "generator")
        self.graphs = {name: onnxruntime.InferenceSession(folder / f"{name}.onnx", options) for name in graphs}
        vocabularies = {file.stem: file.read_text("utf-8").split("\n") for file in folder.glob("*.vocab")}
        self.source = {token: number for number, token in enumerate(vocabularies.get("source", ()))}
        self.target = vocabularies["target"]
        self.pieces = {file.stem: SentencePieceProcessor(model_file=str(file)) for file in folder.glob("*.model")}

    def translate(self, line: str, beam: int | None = None) -> str:
        source = np.load(line)[None] if self.config["reads"] == "features" else np.array([self.encode(line)])
        tokens = self.search(source, beam or self.config["beam"]) if source.shape[1] > 1 else []
        pieces = [self.target[token] for token in tokens if token != self.config["bos"]]
        text = self.pieces["target"].decode_pieces(pieces) if "target" in self.pieces else " ".join(pieces)
        text = text.replace("\u2581", " ").replace("\ufdd3", "")
        return text if self.config["lossless"] else unicodedata.normalize("NFC", text.strip())

    def encode(self, line: str) -> list[int]:
        tokens = line.split()
        if self.config["reads"] == "text":
            text = " ".join(unicodedata.normalize("NFC", re.sub(self.config["dropped"], "", line)).split())
            text = line if self.config["lossless"] else unicodedata.normalize(self.config["normalization"], text)
            tokens = self.pieces["source"].encode(text, out_type=str)
            if not self.config["lossless"]:  # unknown words that SentencePiece has joined
                tokens = [part for token in tokens for part in re.findall("\u2581?[^\u2581]+|\u2581", token)]
        ids = [self.source.get(token, self.config["unk"]) for token in tokens]
        return [*ids[: self.config["max_source"] - 1], self.config["eos"]]

    def run(self, graph: str, values: Values) -> Values:
        session = self.graphs[graph]
        outputs = [output.name for output in session.get_outputs()]
        results = session.run(outputs, {each.name: values[each.name] for each in session.get_inputs()})
        return dict(zip(outputs, results, strict=True))

    def search(self, source: np.ndarray, beam: int) -> list[int]:
        """Return the best hypothesis by the rules of BeamSearch of s2s, without </s>."""
        config, eos = self.config, self.config["eos"]
        until_enough = config["search_patience"] is not None or beam == 1  # hypotheses, whatever they are
        enough = max(1, round((config["search_patience"] or 1) * beam))
        limit = min(max(int(config["max_len_a"] * source.shape[1] + config["max_len_b"]), 1), config["max_target"])
        values = self.run("encoder", {"source": source, "lengths": np.array([source.shape[1]])})
        beams: list[list[int]] = [[]]
        totals, finished, greedy = np.zeros(1, np.float32), [], True
        for step in range(limit + 1):
            values["previous"] = np.array([[tokens[-1] if tokens else eos for tokens in beams]])
            values |= self.run("step", values)
            scores = self.run("generator", values)["log_probs"][0]  # beam x vocabulary
            self.forbid(scores, beams, ends=step >= limit)
            chosen = choose(scores, totals, beam, keep_greedy=not until_enough)
            norm = (step + 1) ** config["lenpen"]
            finished += [(total / norm, beams[row]) for row, token, total in chosen[:beam] if token == eos]
            greedy = greedy and chosen[0][1] != eos
            active = [each for each in chosen if each[1] != eos][:beam]
            if not active or (until_enough and len(finished) >= enough):
                break
            rows, totals = [row for row, _, _ in active], np.array([total for _, _, total in active])
            beams = [[*beams[row], token] for row, token, _ in active]
            values |= {name.removeprefix(NEXT): values[name][:, rows] for name in values if name.startswith(NEXT)}
            if until_enough or greedy or len(finished) < enough:
                continue
            if totals.max() / norm <= max(score for score, _ in finished):
                break
        return max(finished[:enough] if until_enough else finished, key=lambda hypothesis: hypothesis[0])[1]

    def forbid(self, scores: np.ndarray, beams: list[list[int]], ends: bool) -> None:
        """Set what must not come next to -inf; ``ends``: all but </s>."""
        eos, size = self.config["eos"], self.config["no_repeat_ngram_size"]
        scores[:, self.config["pad"]] = -np.inf
        if ends:
            scores[:, np.arange(scores.shape[1]) != eos] = -np.inf
        elif len(beams[0]) < self.config["min_len"]:
            scores[:, eos] = -np.inf
        for row, tokens in zip(scores, beams, strict=True):
            for end in range(size, len(tokens) + 1) if size else ():  # n-grams that would be repeated
                if tokens[end - size : end - 1] == tokens[len(tokens) - size + 1 :]:
                    row[tokens[end - 1]] = -np.inf


def choose(scores: np.ndarray, totals: np.ndarray, beam: int, keep_greedy: bool) -> list[tuple[int, int, float]]:
    """Return row, token and total of the best continuations, best first; that of the greedy hypothesis before them."""
    sums = (scores + totals[:, None]).ravel()
    first = [int(sums[: scores.shape[1]].argmax())] if keep_greedy else []
    top = np.argpartition(-sums, min(2 * beam + 1, len(sums) - 1))[: 2 * beam + 1]
    rest = [place for place in top[np.argsort(-sums[top], kind="stable")].tolist() if place not in first]
    chosen = [place for place in [*first, *rest[: 2 * beam]] if sums[place] > -np.inf]
    return [(*divmod(place, scores.shape[1]), sums[place]) for place in chosen]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("line", nargs="*", help="to decode; default: each line of standard input")
    parser.add_argument("--beam", type=int, help="hypotheses; 1: greedy search; default: as the model was tuned")
    arguments = parser.parse_args()
    model = Model(Path(__file__).parent)
    for line in arguments.line or sys.stdin:
        print(model.translate(line.rstrip("\n"), arguments.beam), flush=True)
