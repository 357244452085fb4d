"""The codec of programs for fairseq's own commands: ``--bpe s2s_code``."""

from dataclasses import dataclass, field
from pathlib import Path

from fairseq.data.encoders import register_bpe
from fairseq.dataclass import FairseqDataclass
from omegaconf import MISSING

from s2s_plugin.text.codec import CodeCodec
from s2s_plugin.text.escape import to_line, unescape


@dataclass
class CodeBpeConfig(FairseqDataclass):
    """Options of ``--bpe s2s_code``."""

    code_model: str = field(default=MISSING, metadata={"help": "SentencePiece model trained on code by s2s prepare"})


@register_bpe("s2s_code", dataclass=CodeBpeConfig)
class CodeBpe:
    """:class:`CodeCodec` of lines, in which :func:`to_line` has escaped line breaks."""

    def __init__(self, cfg: CodeBpeConfig):
        self.codec = CodeCodec(Path(cfg.code_model))

    def encode(self, line: str) -> str:
        return self.codec.encode(unescape(line))

    def decode(self, tokens: str) -> str:
        return to_line(self.codec.decode(tokens))
