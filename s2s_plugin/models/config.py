"""Sizes and choices of the model, and which of them go together."""

from dataclasses import dataclass, field

from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II

from s2s_plugin.errors import UserError
from s2s_plugin.models.attention import ATTENTIONS
from s2s_plugin.models.attention.history import COVERAGES
from s2s_plugin.models.bridge import BRIDGES
from s2s_plugin.models.decoders import DECODERS
from s2s_plugin.models.layers.cells import CELLS, LAYERS


@dataclass
class Seq2SeqConfig(FairseqDataclass):
    """The defaults are the architecture ``s2s``."""

    encoder_embed_dim: int = field(default=256, metadata={"help": "width of a source embedding"})
    encoder_hidden_size: int = field(
        default=512, metadata={"help": "width of a memory value; two directions of half of it"}
    )
    encoder_layers: int = field(default=1, metadata={"help": "number of encoder layers"})
    encoder_cell: ChoiceEnum(list(LAYERS)) = field(  # type: ignore[valid-type]
        default="lstm", metadata={"help": "recurrence of the encoder"}
    )
    encoder_bidirectional: ChoiceEnum(["all", "first", "none"]) = field(  # type: ignore[valid-type]
        default="all", metadata={"help": "encoder layers that read the source in both directions"}
    )
    encoder_pyramid: int = field(
        default=0, metadata={"help": "upper encoder layers that read two steps at once, halving the number of steps"}
    )
    encoder_channels: int = field(default=32, metadata={"help": "speech, video, image: channels of convolution 1"})
    encoder_convolutions: int = field(
        default=2, metadata={"help": "speech, video, image: strided convolutions; each halves what it reads"}
    )
    encoder_embed_path: str = field(
        default="", metadata={"help": "text file of vectors to begin source embeddings with: word2vec, GloVe, fastText"}
    )
    encoder_factors: int = field(
        default=0, metadata={"help": "number of factors, symbols that follow each source token and are added to it"}
    )
    ctc: bool = field(default=False, metadata={"help": "let the memory spell the target too, for a CTC loss"})
    attention: ChoiceEnum(list(ATTENTIONS)) = field(  # type: ignore[valid-type]
        default="general", metadata={"help": "how the decoder compares its state with the memory"}
    )
    attention_size: int = field(default=128, metadata={"help": "width of that comparison, in additive kinds"})
    coverage: ChoiceEnum(list(COVERAGES)) = field(  # type: ignore[valid-type]
        default="none", metadata={"help": "whether attention knows how much it has read of each source step"}
    )
    bridge: ChoiceEnum(list(BRIDGES)) = field(  # type: ignore[valid-type]
        default="dense", metadata={"help": "what the decoder's first state is made of"}
    )
    decoder_embed_dim: int = field(default=256, metadata={"help": "width of a target embedding"})
    decoder_hidden_size: int = field(default=512, metadata={"help": "width of a decoder state"})
    decoder_layers: int = field(default=1, metadata={"help": "number of decoder layers"})
    decoder_cell: ChoiceEnum(list(CELLS)) = field(  # type: ignore[valid-type]
        default="lstm", metadata={"help": "recurrence of the decoder"}
    )
    decoder_type: ChoiceEnum(list(DECODERS)) = field(  # type: ignore[valid-type]
        default="luong", metadata={"help": "when attention is asked, and where its answer goes"}
    )
    decoder_embed_path: str = field(
        default="", metadata={"help": "text file of vectors to begin target embeddings with: word2vec, GloVe, fastText"}
    )
    decoder_output_dim: int = field(
        default=0, metadata={"help": "width of a row of the generator's table; 0: decoder_embed_dim"}
    )
    pointer: bool = field(default=False, metadata={"help": "let the generator copy source symbols"})
    adaptive_cutoffs: str = field(
        default="",
        metadata={"help": "adaptive softmax, for large vocabularies: where its clusters end, as 2000,10000"},
    )
    dropout: float = field(default=0.2, metadata={"help": "dropout on embeddings and between layers"})
    locked_dropout: bool = field(
        default=False, metadata={"help": "drop the same elements at all steps of a sequence (variational dropout)"}
    )
    word_dropout: float = field(
        default=0.0, metadata={"help": "drop whole symbols, source and target, with this probability while training"}
    )
    residual: bool = field(default=False, metadata={"help": "layers add their input to their output"})
    layer_norm: bool = field(default=False, metadata={"help": "normalise the output of each layer"})
    share_decoder_input_output_embed: bool = field(
        default=False, metadata={"help": "the generator's table is the target embedding's"}
    )
    share_all_embeddings: bool = field(
        default=False, metadata={"help": "one table for source, target and generator; needs a joint dictionary"}
    )
    freeze_embeddings: bool = field(
        default=False, metadata={"help": "do not train embeddings that began with given vectors"}
    )
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


def check(cfg: Seq2SeqConfig, source: Dictionary | None, target: Dictionary) -> None:
    """Refuse what would fail later, deep inside torch.

    Args:
        source: None where the source is a signal.

    Raises:
        UserError: a value out of range, or choices that do not go together.
    """
    for name in AT_LEAST_ONE:
        if getattr(cfg, name) < 1:
            raise UserError(f"model.{name} is {getattr(cfg, name)}: give a number of at least 1")
    for name in ("encoder_convolutions", "encoder_factors", "decoder_output_dim"):
        if getattr(cfg, name) < 0:
            raise UserError(f"model.{name} is {getattr(cfg, name)}: give a number of at least 0")
    if not 0 <= cfg.encoder_pyramid < cfg.encoder_layers:
        raise UserError(
            f"model.encoder_pyramid is {cfg.encoder_pyramid}: give a number from 0 to below "
            f"model.encoder_layers={cfg.encoder_layers}"
        )
    for name in ("dropout", "word_dropout"):
        if not 0 <= getattr(cfg, name) < 1:
            raise UserError(f"model.{name} is {getattr(cfg, name)}: give a number from 0 to below 1")
    if cfg.encoder_hidden_size % 2 and cfg.encoder_bidirectional != "none":
        raise UserError(
            f"model.encoder_hidden_size is {cfg.encoder_hidden_size}: two directions share it, give an even number"
        )
    if cfg.pointer and (source is None or cfg.attention == "none" or cfg.encoder_pyramid):
        raise UserError(
            "model.pointer copies source symbols that attention finds: it needs text, attention and encoder_pyramid=0"
        )
    if cfg.coverage != "none" and cfg.attention == "none":
        raise UserError(f"model.coverage={cfg.coverage} needs an attention")
    _check_tables(cfg, source, target)


def _check_tables(cfg: Seq2SeqConfig, source: Dictionary | None, target: Dictionary) -> None:
    """Embeddings and the generator's table."""
    tied = cfg.share_all_embeddings or cfg.share_decoder_input_output_embed
    if cfg.encoder_embed_path and source is None:
        raise UserError("model.encoder_embed_path is for sources of text: leave it out")
    if cfg.share_all_embeddings:
        if cfg.decoder_embed_path:
            raise UserError(
                "model.decoder_embed_path with one table for both sides, which model.encoder_embed_path begins: name "
                "that, or set model.share_all_embeddings=false"
            )
        if source is None or source != target:
            raise UserError(
                "model.share_all_embeddings needs one dictionary for both sides: "
                "prepare with a joint vocabulary (subword.joint=true), or set it to false"
            )
        if cfg.encoder_embed_dim != cfg.decoder_embed_dim:
            raise UserError(
                f"model.share_all_embeddings with widths {cfg.encoder_embed_dim} and {cfg.decoder_embed_dim}: "
                "give model.encoder_embed_dim and model.decoder_embed_dim the same value"
            )
    if tied and cfg.decoder_output_dim not in (0, cfg.decoder_embed_dim):
        raise UserError(
            f"model.decoder_output_dim is {cfg.decoder_output_dim}: a table shared with the target embedding is as "
            f"wide as that, {cfg.decoder_embed_dim}; leave it out"
        )
    if cfg.adaptive_cutoffs:
        if tied or cfg.pointer:
            raise UserError(
                "model.adaptive_cutoffs has tables of its own: it goes with neither shared ones nor model.pointer"
            )
        cutoffs(cfg, len(target))


def cutoffs(cfg: Seq2SeqConfig, vocabulary: int) -> list[int]:
    """Ends of the clusters of the adaptive softmax, but for the last.

    Raises:
        UserError: not increasing numbers below the vocabulary's size.
    """
    try:
        ends = [int(end) for end in cfg.adaptive_cutoffs.split(",")]
    except ValueError:
        ends = []
    if not ends or ends != sorted(set(ends)) or ends[0] < 1 or ends[-1] >= vocabulary:
        raise UserError(
            f"model.adaptive_cutoffs is '{cfg.adaptive_cutoffs}': give increasing numbers between 0 and the size of "
            f"the vocabulary, {vocabulary}, as 2000,10000"
        )
    return ends
