"""Options of the model and the rules between them."""

# mypy: disable-error-code=valid-type

from dataclasses import dataclass, field

from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II, DictConfig

from s2s_plugin.errors import UserError
from s2s_plugin.models.attention import ATTENTIONS
from s2s_plugin.models.attention.history import COVERAGES
from s2s_plugin.models.attention.multi_head import HEADS
from s2s_plugin.models.bridge import BRIDGES
from s2s_plugin.models.decoders import DECODERS
from s2s_plugin.models.layers.cells import CELLS, LAYERS

EncoderCell = ChoiceEnum(list(LAYERS))
Directions = ChoiceEnum(["all", "first", "none"])
AttentionKind = ChoiceEnum(list(ATTENTIONS))
CoverageKind = ChoiceEnum(list(COVERAGES))
BridgeKind = ChoiceEnum(list(BRIDGES))
DecoderCell = ChoiceEnum(list(CELLS))
DecoderType = ChoiceEnum(list(DECODERS))


@dataclass
class Seq2SeqConfig(FairseqDataclass):
    """The defaults are the architecture ``s2s``."""

    encoder_embed_dim: int = field(default=256, metadata={"help": "width of the source embedding"})
    encoder_hidden_size: int = field(
        default=512, metadata={"help": "width of the encoder's output; each of two directions has half of it"}
    )
    encoder_layers: int = field(default=1, metadata={"help": "number of encoder layers"})
    encoder_cell: EncoderCell = field(default="lstm", metadata={"help": "recurrent cell of the encoder"})
    encoder_bidirectional: Directions = field(default="all", metadata={"help": "bidirectional encoder layers"})
    encoder_pyramid: int = field(
        default=0, metadata={"help": "number of upper encoder layers that halve the number of steps (LAS)"}
    )
    encoder_channels: int = field(
        default=32, metadata={"help": "speech, video, image: channels of the first convolution"}
    )
    encoder_convolutions: int = field(
        default=2, metadata={"help": "speech, video, image: number of convolutions of stride 2"}
    )
    encoder_embed_path: str = field(
        default="", metadata={"help": "text file of pretrained source embeddings: word2vec, GloVe, fastText"}
    )
    encoder_factors: int = field(
        default=0, metadata={"help": "number of factors after each source token; their embeddings are added to its own"}
    )
    ctc: bool = field(default=False, metadata={"help": "add a CTC head to the encoder"})
    attention: AttentionKind = field(
        default="general", metadata={"help": "attention kind: how states and values are scored"}
    )
    attention_size: int = field(default=128, metadata={"help": "hidden width of additive attention"})
    coverage: CoverageKind = field(default="none", metadata={"help": "past attention as an input to attention"})
    bridge: BridgeKind = field(default="dense", metadata={"help": "encoder's final states to decoder's initial state"})
    decoder_embed_dim: int = field(default=256, metadata={"help": "width of the target embedding"})
    decoder_hidden_size: int = field(default=512, metadata={"help": "width of the decoder's states"})
    decoder_layers: int = field(default=1, metadata={"help": "number of decoder layers"})
    decoder_cell: DecoderCell = field(default="lstm", metadata={"help": "recurrent cell of the decoder"})
    decoder_type: DecoderType = field(default="luong", metadata={"help": "decoder type: where attention is applied"})
    decoder_embed_path: str = field(
        default="", metadata={"help": "text file of pretrained target embeddings: word2vec, GloVe, fastText"}
    )
    decoder_output_dim: int = field(default=0, metadata={"help": "width of the output embedding; 0: decoder_embed_dim"})
    pointer: bool = field(default=False, metadata={"help": "copy source tokens (pointer-generator)"})
    adaptive_cutoffs: str = field(
        default="", metadata={"help": "adaptive softmax for large vocabularies: its cutoffs, such as 2000,10000"}
    )
    dropout: float = field(default=0.2, metadata={"help": "dropout on embeddings and between layers"})
    locked_dropout: bool = field(
        default=False, metadata={"help": "share dropout masks between all steps of a sequence (variational dropout)"}
    )
    word_dropout: float = field(
        default=0.0, metadata={"help": "probability of dropping a whole source or target token"}
    )
    residual: bool = field(default=False, metadata={"help": "residual connections between layers"})
    layer_norm: bool = field(default=False, metadata={"help": "layer normalization of each layer's output"})
    share_decoder_input_output_embed: bool = field(
        default=False, metadata={"help": "share target and output embeddings"}
    )
    share_all_embeddings: bool = field(
        default=False, metadata={"help": "share all embeddings; requires a joint dictionary"}
    )
    freeze_embeddings: bool = field(default=False, metadata={"help": "do not train pretrained embeddings"})
    max_source_positions: int = II("task.max_source_positions")
    max_target_positions: int = II("task.max_target_positions")


AT_LEAST_ONE = (
    "encoder_embed_dim",
    "encoder_hidden_size",
    "encoder_layers",
    "encoder_channels",
    "attention_size",
    "decoder_embed_dim",
    "decoder_hidden_size",
    "decoder_layers",
)
AT_LEAST_ZERO = ("encoder_convolutions", "encoder_factors", "decoder_output_dim")
PROBABILITIES = ("dropout", "word_dropout")


def check(cfg: Seq2SeqConfig, source: Dictionary | None, target: Dictionary) -> None:
    """Validate the options before they fail deep inside torch.

    Args:
        cfg: the options.
        source: dictionary of the source; None if it is a signal.
        target: dictionary of the target.

    Raises:
        UserError: an option is out of range, or two exclude each other.
    """
    values = {name: getattr(cfg, name) for name in (*AT_LEAST_ONE, *AT_LEAST_ZERO, *PROBABILITIES)}
    ranges = [(values[name] >= 1, name, "at least 1") for name in AT_LEAST_ONE]
    ranges += [(values[name] >= 0, name, "at least 0") for name in AT_LEAST_ZERO]
    ranges += [(0 <= values[name] < 1, name, "in [0, 1)") for name in PROBABILITIES]
    for holds, name, text in ranges:
        if not holds:
            raise UserError(f"model.{name} must be {text}, got {values[name]}")
    for holds, message in _rules(cfg, source, target):
        if not holds:
            raise UserError(f"model.{message}")
    if cfg.adaptive_cutoffs:
        parse_cutoffs(cfg.adaptive_cutoffs, len(target))


def _rules(cfg: Seq2SeqConfig, source: Dictionary | None, target: Dictionary) -> list[tuple[bool, str]]:
    """List what must hold between options, each with the message of its violation."""
    text, attends = source is not None, cfg.attention != "none"
    encoder, decoder, share_all = cfg.encoder_hidden_size, cfg.decoder_hidden_size, cfg.share_all_embeddings
    shared = share_all or cfg.share_decoder_input_output_embed
    return [
        (
            0 <= cfg.encoder_pyramid < cfg.encoder_layers,
            f"encoder_pyramid must be in [0, model.encoder_layers={cfg.encoder_layers}), got {cfg.encoder_pyramid}",
        ),
        (
            encoder % 2 == 0 or cfg.encoder_bidirectional == "none",
            f"encoder_hidden_size must be even for two directions, got {encoder}",
        ),
        (
            cfg.attention != "dot" or encoder == decoder,
            "attention=dot requires equal model.encoder_hidden_size and model.decoder_hidden_size, got "
            f"{encoder} and {decoder}; or set model.attention=general",
        ),
        (
            cfg.attention != "multi_head" or encoder % HEADS == 0,
            f"attention=multi_head requires model.encoder_hidden_size to be a multiple of {HEADS}, got {encoder}",
        ),
        (not cfg.pointer or text, "pointer requires a text source"),
        (not cfg.pointer or attends, "pointer requires attention, got none"),
        (not (cfg.pointer and cfg.encoder_pyramid), f"pointer requires encoder_pyramid=0, got {cfg.encoder_pyramid}"),
        (cfg.coverage == "none" or attends, f"coverage={cfg.coverage} requires attention, got none"),
        (not cfg.encoder_embed_path or text, "encoder_embed_path requires a text source"),
        (
            not (share_all and cfg.decoder_embed_path),
            "decoder_embed_path and model.share_all_embeddings are mutually exclusive; set model.encoder_embed_path",
        ),
        (
            not share_all or (text and source == target),
            "share_all_embeddings requires one dictionary for both sides; prepare with subword.joint=true",
        ),
        (
            not share_all or cfg.encoder_embed_dim == cfg.decoder_embed_dim,
            "share_all_embeddings requires equal model.encoder_embed_dim and model.decoder_embed_dim, got "
            f"{cfg.encoder_embed_dim} and {cfg.decoder_embed_dim}",
        ),
        (
            not shared or cfg.decoder_output_dim in (0, cfg.decoder_embed_dim),
            f"decoder_output_dim must be 0 with shared embeddings, got {cfg.decoder_output_dim}",
        ),
        (not (cfg.adaptive_cutoffs and shared), "adaptive_cutoffs and shared embeddings are mutually exclusive"),
        (not (cfg.adaptive_cutoffs and cfg.pointer), "adaptive_cutoffs and model.pointer are mutually exclusive"),
    ]


def parse_cutoffs(text: str, vocabulary_size: int) -> list[int]:
    """Parse the cutoffs of an adaptive softmax: first ids of its clusters.

    Raises:
        UserError: they are not increasing numbers below the vocabulary size.
    """
    try:
        cutoffs = [int(cutoff) for cutoff in text.split(",")]
    except ValueError:
        cutoffs = []
    if not cutoffs or cutoffs != sorted(set(cutoffs)) or cutoffs[0] < 1 or cutoffs[-1] >= vocabulary_size:
        raise UserError(
            f"model.adaptive_cutoffs must be increasing numbers in (0, {vocabulary_size}), such as 2000,10000, "
            f"got '{text}'"
        )
    return cutoffs


def without_vector_files(cfg: DictConfig) -> DictConfig:
    """Return a copy of a checkpoint's config that reads no pretrained embeddings: the checkpoint contains them."""
    return DictConfig({**cfg, "encoder_embed_path": "", "decoder_embed_path": ""})
