"""Our codec of programs for fairseq's own commands: ``--bpe s2s_code``."""

from dataclasses import dataclass, field
from pathlib import Path

from fairseq.data.encoders import register_bpe
from fairseq.dataclass import FairseqDataclass
from omegaconf import MISSING

from s2s_plugin.text.codec import CodeCodec
from s2s_plugin.text.escape import from_line, to_line


@dataclass
class CodeBpeConfig(FairseqDataclass):
    code_model: str = field(default=MISSING, metadata={"help": "SentencePiece model that s2s prepare learnt of code"})


@register_bpe("s2s_code", dataclass=CodeBpeConfig)
class CodeBpe:
    """:class:`CodeCodec` for ``--bpe s2s_code --code-model spm.model``.

    fairseq reads and writes a text per line; one of several lines is written as :func:`to_line` does.
    """

    def __init__(self, cfg: CodeBpeConfig):
        self.codec = CodeCodec(Path(cfg.code_model))

    def encode(self, line: str) -> str:
        return self.codec.encode(from_line(line))

    def decode(self, symbols: str) -> str:
        return to_line(self.codec.decode(symbols))
