"""Options of the model and the rules between them."""

# mypy: disable-error-code=valid-type

from dataclasses import dataclass

from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II, DictConfig

from s2s_plugin.errors import UserError
from s2s_plugin.models.attention import ATTENTIONS, check_coverage
from s2s_plugin.models.attention.history import COVERAGES
from s2s_plugin.models.attention.multi_head import HEADS
from s2s_plugin.models.bridge import BRIDGES
from s2s_plugin.models.decoders import DECODERS
from s2s_plugin.models.decoders.base import READOUTS
from s2s_plugin.models.layers.cells import CELLS, LAYERS
from s2s_plugin.utils.options import option


@dataclass
class Seq2SeqConfig(FairseqDataclass):
    """The defaults are the architecture ``s2s``."""

    encoder_embed_dim: int = option(256, "width of the source embedding")
    encoder_hidden_size: int = option(512, "width of the encoder's output; each of two directions has half of it")
    encoder_layers: int = option(1, "number of encoder layers")
    encoder_cell: ChoiceEnum(list(LAYERS)) = option("lstm", "recurrent cell of the encoder")
    encoder_bidirectional: ChoiceEnum(["all", "first", "none"]) = option("all", "bidirectional encoder layers")
    encoder_reversed: bool = option(
        False, "text: read the source from its end to its beginning; for encoders that are not all bidirectional"
    )
    encoder_eos: bool = option(True, "text: read the </s> at the end of the source")
    encoder_pyramid: int = option(0, "number of upper encoder layers that halve the number of steps (LAS)")
    encoder_channels: int = option(32, "speech, video, image: channels of the first convolution")
    encoder_convolutions: int = option(2, "speech, video, image: number of convolutions of stride 2")
    encoder_embed_path: str = option("", "text file of pretrained source embeddings: word2vec, GloVe, fastText")
    encoder_factors: int = option(0, "number of factors after each source token; their embeddings are added to its own")
    ctc: bool = option(False, "add a CTC head to the encoder")
    attention: str = option(
        "general", f"how states and values are scored: {', '.join(ATTENTIONS)}, or a registered kind"
    )
    attention_size: int = option(128, "width that additive attention projects states and values to")
    coverage: ChoiceEnum(list(COVERAGES)) = option("none", "past attention as an input to attention")
    bridge: ChoiceEnum(list(BRIDGES)) = option("dense", "encoder's final states to decoder's initial state")
    decoder_embed_dim: int = option(256, "width of the target embedding")
    decoder_hidden_size: int = option(512, "width of the decoder's states")
    decoder_layers: int = option(1, "number of decoder layers")
    decoder_cell: ChoiceEnum(list(CELLS)) = option("lstm", "recurrent cell of the decoder")
    decoder_type: ChoiceEnum(list(DECODERS)) = option("luong", "decoder type: where attention is applied")
    decoder_readout: ChoiceEnum(list(READOUTS)) = option("tanh", "activation of the features, with attention")
    decoder_readout_bias: bool = option(False, "add a bias to the features, with attention")
    decoder_embed_path: str = option("", "text file of pretrained target embeddings: word2vec, GloVe, fastText")
    decoder_output_dim: int = option(0, "width of the output embedding; 0: decoder_embed_dim")
    pointer: bool = option(False, "copy source tokens (pointer-generator)")
    adaptive_cutoffs: str = option("", "adaptive softmax for large vocabularies: its cutoffs, such as 2000,10000")
    dropout: float = option(0.2, "dropout on embeddings and between layers")
    locked_dropout: bool = option(False, "share dropout masks between all steps of a sequence (variational dropout)")
    word_dropout: float = option(0.0, "probability of dropping a whole source or target token")
    residual: bool = option(False, "residual connections between layers")
    layer_norm: bool = option(False, "layer normalization of each layer's output")
    share_decoder_input_output_embed: bool = option(False, "share target and output embeddings")
    share_all_embeddings: bool = option(False, "share all embeddings; requires a joint dictionary")
    freeze_embeddings: bool = option(False, "do not train pretrained embeddings")
    max_source_positions: int = II("task.max_source_positions")
    max_target_positions: int = II("task.max_target_positions")


MINIMUM = {
    **dict.fromkeys(("encoder_embed_dim", "encoder_hidden_size", "encoder_layers", "encoder_channels"), 1),
    **dict.fromkeys(("attention_size", "decoder_embed_dim", "decoder_hidden_size", "decoder_layers"), 1),
    **dict.fromkeys(("encoder_convolutions", "encoder_factors", "decoder_output_dim"), 0),
}


def check(cfg: Seq2SeqConfig, source: Dictionary | None, target: Dictionary) -> None:
    """Validate the options before they fail deep inside torch; ``source`` is None for a signal.

    Raises:
        UserError: an option is out of range, or two exclude each other.
    """
    check_values(cfg)
    encoder, decoder, embed = cfg.encoder_hidden_size, cfg.decoder_hidden_size, cfg.decoder_embed_dim
    attention, share_all = cfg.attention, cfg.share_all_embeddings
    _require(
        encoder % 2 == 0 or cfg.encoder_bidirectional == "none",
        f"encoder_hidden_size must be even for two directions, got {encoder}",
    )
    _require(
        attention != "dot" or encoder == decoder,
        f"attention=dot requires equal model.encoder_hidden_size and model.decoder_hidden_size, got {encoder} and "
        f"{decoder}; or set model.attention=general",
    )
    _require(
        attention != "multi_head" or encoder % HEADS == 0,
        f"attention=multi_head requires model.encoder_hidden_size to be a multiple of {HEADS}, got {encoder}",
    )
    if cfg.encoder_reversed:
        _require(source is not None, "encoder_reversed requires a text source")
        rule = "encoder_reversed requires encoder_bidirectional=none or first, got all"
        _require(cfg.encoder_bidirectional != "all", rule)
        _require(not cfg.encoder_pyramid, f"encoder_reversed requires encoder_pyramid=0, got {cfg.encoder_pyramid}")
    _require(cfg.encoder_eos or source is not None, "encoder_eos=false requires a text source")
    if DECODERS[cfg.decoder_type].uses_meanings:
        name = f"decoder_type={cfg.decoder_type} requires"
        _require(source is not None, f"{name} a text source")
        _require(attention != "none", f"{name} attention, got none")
        _require(not cfg.encoder_pyramid, f"{name} encoder_pyramid=0, got {cfg.encoder_pyramid}")
    if cfg.pointer:
        _require(source is not None, "pointer requires a text source")
        _require(attention != "none", "pointer requires attention, got none")
        _require(not cfg.encoder_pyramid, f"pointer requires encoder_pyramid=0, got {cfg.encoder_pyramid}")
        _require(not cfg.adaptive_cutoffs, "adaptive_cutoffs and model.pointer are mutually exclusive")
    if share_all:
        _require(
            not cfg.decoder_embed_path,
            "decoder_embed_path and model.share_all_embeddings are mutually exclusive; set model.encoder_embed_path",
        )
        _require(
            source is not None and source == target,
            "share_all_embeddings requires one dictionary for both sides; prepare with subword.joint=true",
        )
        _require(
            cfg.encoder_embed_dim == embed,
            "share_all_embeddings requires equal model.encoder_embed_dim and model.decoder_embed_dim, got "
            f"{cfg.encoder_embed_dim} and {embed}",
        )
    if share_all or cfg.share_decoder_input_output_embed:
        output = cfg.decoder_output_dim
        _require(output in (0, embed), f"decoder_output_dim must be 0 with shared embeddings, got {output}")
        _require(not cfg.adaptive_cutoffs, "adaptive_cutoffs and shared embeddings are mutually exclusive")


def check_values(cfg: Seq2SeqConfig) -> None:
    """Validate each option by itself, for which no data is needed.

    Raises:
        UserError: an option is out of range, or a part of this name is not registered.
    """
    _require(
        cfg.attention in ATTENTIONS,
        f"attention must be one of {', '.join(ATTENTIONS)}, got {cfg.attention[:60]}; common.user_dir=FOLDER "
        "(--user-dir) registers others",
    )
    _require(
        cfg.coverage == "none" or cfg.attention not in ("none", "location"),
        f"coverage={cfg.coverage} and model.attention={cfg.attention} are mutually exclusive",
    )
    check_coverage(cfg.attention, str(cfg.coverage))
    for name, low in MINIMUM.items():
        value = getattr(cfg, name)
        _require(value >= low, f"{name} must be at least {low}, got {value}")
    for name in ("dropout", "word_dropout"):
        value = getattr(cfg, name)
        _require(0 <= value < 1, f"{name} must be in [0, 1), got {value}")
    pyramid, layers = cfg.encoder_pyramid, cfg.encoder_layers
    _require(0 <= pyramid < layers, f"encoder_pyramid must be in [0, model.encoder_layers={layers}), got {pyramid}")


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise UserError(f"model.{rule}")


def parse_cutoffs(text: str, vocabulary_size: int) -> list[int]:
    """Parse the cutoffs of an adaptive softmax: first ids of its clusters.

    Raises:
        UserError: they are not increasing numbers below the vocabulary size.
    """
    words = [word.strip() for word in text.split(",")]
    cutoffs = [int(word) if word.isdecimal() else 0 for word in words]
    if cutoffs != sorted(set(cutoffs)) or not 0 < cutoffs[0] <= cutoffs[-1] < vocabulary_size:
        rule = f"must be increasing numbers in (0, {vocabulary_size}), such as 2000,10000"
        raise UserError(f"model.adaptive_cutoffs {rule}, got '{text}'")
    return cutoffs


def without_vector_files(cfg: DictConfig) -> DictConfig:
    """Return a copy of a checkpoint's config that reads no pretrained embeddings: the checkpoint contains them."""
    return DictConfig({**cfg, "encoder_embed_path": "", "decoder_embed_path": ""})
