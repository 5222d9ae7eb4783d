"""The options of each family, defined once for constructors, saved models, recipes and the command
line.

Nothing here needs torch, so that help and mistakes on the command line are answered at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self, get_args

from autoregress.brief import Brief

Activation = Literal["relu", "softplus", "tanh", "sigmoid", "elu", "gelu", "silu"]
Predictor = Literal["median", "none"]
ClipPredictor = Literal["several", "none"]
Slices = Literal["one", "all"]
Permutations = tuple[tuple[int, ...], ...]
Blocks = tuple[tuple[int, int, int], ...]

# The largest networks that make sense: beyond these, building one takes minutes or all memory.
DEEPEST, WIDEST, MOST_LOGISTICS, MOST_MEMBERS = 1000, 2**24, 1000, 10_000

# The paper's blocks for slices of 4 × 32 × 32, of 128 pixels each.
BLOCKS: Blocks = ((4, 8, 4), (4, 4, 8), (1, 32, 4), (1, 4, 32))


@dataclass(frozen=True)
class NoOptions:
    """A family without options."""


@dataclass(frozen=True, repr=False)
class MADEConfig(Brief):
    """The model, a MADE (arXiv 1502.03509).

    Args:
        hidden: Width of each hidden layer.
        orderings: Orderings of the dimensions: natural, the order of the data; a number of random
            orderings, through which the updates cycle; any, a fresh ordering at each update, for
            completing from any subset of dimensions (order-agnostic training); or explicit
            permutations.
        evidence: Also train for completing from any subset of dimensions: with probability 1/2,
            an update moves some dimensions to the front of the ordering, like the known ones in
            completion. With a single ordering this costs little likelihood, whereas orderings any
            may cost much.
        connectivities: Number of draws of the hidden units' degrees, through which the updates
            cycle; or any, a fresh draw at each update (connectivity-agnostic training).
        direct: Connect inputs to outputs directly, in addition to the hidden layers (eq. 11).
        conditioning: Use connectivity-conditioning weights, which tell each unit what it is
            connected to (eq. 14).
        activation: Nonlinearity of the hidden units.
        residual: Use the first width for a residual stream, to which each further width adds a
            block of two layers.
        norm: Normalise each hidden layer before its nonlinearity, each unit over those of at most
            its own degree, which keeps to the ordering.
        dropout: Probability of dropping a hidden unit in training.
        ordered: Treat levels as numbers, whose neighbours are alike, rather than as categories:
            one answer for all dimensions, or one for each. It makes no difference to bits.
        mixture: Number of logistics in the conditional of an ordered symbol (arXiv 1701.05517).
        periods: For each dimension, the periods of its ordered levels, such as 7 of days, whose
            sines and cosines are inputs too; by default none.
        gaps: Take events with unknown entries, which are -1, also in training: they are no inputs,
            and log p is that of the known entries. With evidence, 40 % of the updates hide a
            random share of each example's entries and predict those from all the others, without
            an ordering.

    Example:
        >>> options = ar.MADEConfig(hidden=(16,), dropout=0.2)
        >>> ar.MADE(4, **vars(options)).config == options
        True
    """

    hidden: tuple[int, ...] = (500,)
    orderings: int | Literal["natural", "any"] | Permutations = "natural"
    evidence: bool = False
    connectivities: int | Literal["any"] = 1
    direct: bool = False
    conditioning: bool = False
    activation: Activation = "relu"
    residual: bool = False
    norm: bool = False
    dropout: float = 0.0
    ordered: bool | tuple[bool, ...] = False
    mixture: int = 5
    periods: tuple[tuple[float, ...], ...] = ()
    gaps: bool = False

    usual: ClassVar[tuple[tuple[int, ...], int]] = ((784,), 2)

    def __post_init__(self) -> None:
        """Raises ValueError for invalid options."""
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(
                f"hidden needs at least one layer of at least one unit, got {self.hidden}"
            )
        _require_at_most(WIDEST, "a hidden layer", max(self.hidden))
        _require_at_most(DEEPEST, "the number of layers", len(self.hidden))
        orders = self.orderings
        if isinstance(orders, str):
            sensible = orders in ("natural", "any")
        else:
            sensible = orders >= 1 if isinstance(orders, int) else len(orders) >= 1
        if not sensible:
            raise ValueError(
                'orderings must be "natural", "any", a count of at least 1 or permutations, '
                f"got {orders!r}"
            )
        draws = self.connectivities
        if draws != "any" and not (isinstance(draws, int) and draws >= 1):
            raise ValueError(
                f'connectivities must be a count of at least 1 or "any", got {draws!r}'
            )
        members = math.lcm(*(n for n in (orders, draws) if isinstance(n, int)))
        _require_at_most(MOST_MEMBERS, "the number of members (orderings, connectivities)", members)
        _require_one_of("activation", self.activation, get_args(Activation))
        ordered = self.ordered if isinstance(self.ordered, bool) else any(self.ordered)
        if not ordered and self.mixture != MADEConfig.mixture:
            raise ValueError("mixture is for ordered levels")
        _require_dropout(self.dropout)
        if self.mixture < 1:
            raise ValueError(f"mixture must be at least 1, got {self.mixture}")
        _require_at_most(MOST_LOGISTICS, "mixture", self.mixture)
        if not all(0 < period < math.inf for each in self.periods for period in each):
            raise ValueError(f"periods must be above 0, got {self.periods}")


@dataclass(frozen=True, repr=False)
class PixelConfig(Brief):
    """The model, of images (PixelCNN and PixelRNN, arXiv 1601.06759; Gated PixelCNN, 1606.05328).

    Args:
        layers: Number of layers between the first convolution and the output.
        features: Width h of each layer; the stream between the layers has h features in a Gated
            PixelCNN and 2h in the others.
        kernel: Width of the layers' convolutions, an odd number; a larger one sees more of an image
            with each layer. That of a Diagonal BiLSTM cannot be chosen.
        head: Width of the two 1x1 layers before the output; by default 2h (1024 in the paper, 32
            for bits).
        residual: Add residual connections around each layer.
        skip: Add skip connections from each layer to the output.
        scales: Strides of coarser grids that are modelled first, coarsest first, each a multiple
            of the next, such as 4 2, for the multi-scale model (arXiv 1601.06759, section 3.6).
        ordered: Treat levels as numbers, modelled by their distance from a prediction; otherwise
            as categories, as in the papers. It makes no difference to bits.
        mixture: Number of logistics in the conditional of an ordered symbol (arXiv 1701.05517).
        predictor: Prediction of an ordered symbol from its neighbours: the median of west, north
            and west + north - northwest (within its own grid if there are several scales), or
            none.
        dropout: Probability of dropping a feature of a layer in training.

    Example:
        >>> ar.PixelConfig(scales=(4, 2)).scales
        (4, 2)
    """

    layers: int = 12
    features: int = 128
    kernel: int = 3
    head: int | None = None
    residual: bool = True
    skip: bool = True
    scales: tuple[int, ...] = ()
    ordered: bool = True
    mixture: int = 5
    predictor: Predictor = "median"
    dropout: float = 0.0

    usual: ClassVar[tuple[tuple[int, ...], int]] = ((3, 32, 32), 256)

    def __post_init__(self) -> None:
        """Raises ValueError for invalid options."""
        widths = (self.features,) if self.head is None else (self.features, self.head)
        _require_at_most(DEEPEST, "the number of layers", self.layers)
        _require_at_most(WIDEST, "a width", max(widths))
        if min(self.layers, *widths) < 1:
            raise ValueError(
                f"layers and widths must be at least 1, got {self.layers} layers of "
                f"{' and '.join(map(str, widths))}"
            )
        if self.kernel < 3 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be an odd number from 3, got {self.kernel}")
        _require_at_most(DEEPEST, "kernel", self.kernel)
        if self.mixture < 1:
            raise ValueError(f"mixture must be at least 1, got {self.mixture}")
        _require_at_most(MOST_LOGISTICS, "mixture", self.mixture)
        _require_one_of("predictor", self.predictor, get_args(Predictor))
        _require_dropout(self.dropout)
        if not self.ordered and (self.mixture, self.predictor) != (
            PixelConfig.mixture,
            PixelConfig.predictor,
        ):
            raise ValueError("mixture and predictor are for ordered levels")
        strides = (*self.scales, 1)
        if any(b < 1 or a % b or a <= b for a, b in pairwise(strides)):
            raise ValueError(
                f"scales must be strides above 1, each a multiple of the next, got {self.scales}"
            )


@dataclass(frozen=True, repr=False)
class VideoTransformerConfig(Brief):
    """The model, a subscale Video Transformer (arXiv 1906.02634).

    Args:
        subscale: Subscaling factors, in time, rows and columns, that divide a clip into slices;
            with 1 1 1 the whole clip is one slice.
        width: Width d of the streams and of all hidden layers.
        embedding: Width d_e of a pixel's embedding.
        heads: Number of attention heads; several numbers apply to successive layers in turn.
        head_width: Width d_a of a head's queries, keys and values.
        encoder_layers: Number of layers of the encoder, which sees the known slices of the clip.
        decoder_layers: Number of layers of the decoder, which sees the known pixels of a slice.
        blocks: Sizes of attention blocks, in time, rows and columns, that apply to successive
            layers in turn. A block larger than a slice is cut to its size; otherwise it must
            divide the slice.
        kernel: Size of the encoder's convolution, three odd numbers; by default large enough to
            reach half a factor to either side, at most 7, such as 5 3 3 for factors 4 2 2.
        priming: Numbers of known first frames to train for, including 0, which log_prob measures.
            Each clip of an update draws one number from the list; with 0 5 5 5 it is given five
            frames three times out of four.
        slices: Slices of each clip in an update: one at random, or all.
        checkpointing: Store only the inputs of each layer for the gradients, and recompute the
            rest, which saves memory and takes a third more time.
        ordered: Treat levels as numbers, modelled by their distance from predictions; otherwise
            as categories, 256 of them as coarse and fine digits, as in the paper. It makes no
            difference to bits.
        mixture: Number of logistics in the conditional of an ordered symbol (arXiv 1701.05517).
        predictor: Predictions of an ordered symbol from those before it: several, each of them the
            mean of some of the logistics (the same pixel of the frame before, that pixel and the
            median change of its neighbours, and the median predictor of images), or none.

    Example:
        >>> ar.VideoTransformerConfig(priming=(0, 5)).priming
        (0, 5)
    """

    subscale: tuple[int, int, int] = (4, 2, 2)
    width: int = 512
    embedding: int = 128
    heads: int | tuple[int, ...] = 8
    head_width: int = 128
    encoder_layers: int = 8
    decoder_layers: int = 8
    blocks: Blocks = BLOCKS
    kernel: tuple[int, int, int] | None = None
    priming: tuple[int, ...] = (0,)
    slices: Slices = "one"
    checkpointing: bool = False
    ordered: bool = True
    mixture: int = 6
    predictor: ClipPredictor = "several"

    usual: ClassVar[tuple[tuple[int, ...], int]] = ((16, 3, 64, 64), 256)

    def fitted(self, event_shape: tuple[int, ...], chosen: Self) -> Self:
        """The options with those that equal ``chosen``'s changed to fit clips of another shape.

        Known frames that a clip does not have are left out; factors and blocks become the largest
        numbers below them that divide.

        Args:
            event_shape: (T, C, H, W).
            chosen: the options that nobody set, such as a recipe's.
        """
        if len(event_shape) != 4:
            return self
        grid = (event_shape[0], *event_shape[2:])
        changes: dict[str, Any] = {}
        if self.priming == chosen.priming:
            changes["priming"] = tuple(n for n in self.priming if n < grid[0])
        if self.subscale == chosen.subscale:
            changes["subscale"] = _dividing(self.subscale, grid)
        subscale = changes.get("subscale", self.subscale)
        slice_ = tuple(n // s for n, s in zip(grid, subscale, strict=True))
        if self.blocks == chosen.blocks and min(slice_) >= 1:
            changes["blocks"] = tuple(dict.fromkeys(_dividing(b, slice_) for b in self.blocks))
        return replace(self, **changes)

    @classmethod
    def base(cls, **options: Any) -> Self:
        """The paper's base model: the defaults, but for nominal levels."""
        return cls(**{"ordered": False, **options})

    @classmethod
    def large(cls, **options: Any) -> Self:
        """The paper's large model.

        Half of the layers have 16 heads and half have 8; which ones is not known.
        """
        return cls.base(**{"width": 2048, "heads": (8,) * 4 + (16,) * 4, **options})

    def __post_init__(self) -> None:
        """Raises ValueError for invalid options."""
        heads = (self.heads,) if isinstance(self.heads, int) else self.heads
        sizes = {"width": self.width, "embedding": self.embedding, "head_width": self.head_width}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
            _require_at_most(WIDEST, name, size)
        if not heads or min(heads) < 1:
            raise ValueError(f"heads must be at least 1, got {self.heads}")
        _require_at_most(DEEPEST, "the number of heads", max(heads))
        deepest = max(self.encoder_layers, self.decoder_layers)
        _require_at_most(DEEPEST, "the number of layers", deepest)
        if min(self.encoder_layers, self.decoder_layers) < 0:
            raise ValueError(
                f"numbers of layers must be at least 0, got {self.encoder_layers} in the encoder "
                f"and {self.decoder_layers} in the decoder"
            )
        if len(self.subscale) != 3 or min(self.subscale) < 1:
            raise ValueError(f"subscale must be three factors of at least 1, got {self.subscale}")
        kernel = self.kernel or (1, 1, 1)
        if len(kernel) != 3 or min(kernel) < 1 or any(k % 2 == 0 for k in kernel):
            raise ValueError(f"the encoder's kernel must be three odd sizes, got {self.kernel}")
        if not self.blocks or any(len(b) != 3 or min(b) < 1 for b in self.blocks):
            raise ValueError(f"blocks must be triples of sizes of at least 1, got {self.blocks}")
        if 0 not in self.priming or min(self.priming) < 0:
            raise ValueError(
                f"priming must list numbers of known frames, 0 among them, got {self.priming}"
            )
        _require_one_of("slices", self.slices, get_args(Slices))
        if self.mixture < 1:
            raise ValueError(f"mixture must be at least 1, got {self.mixture}")
        _require_one_of("predictor", self.predictor, get_args(ClipPredictor))


def _dividing(numbers: tuple[int, ...], of: tuple[int, ...]) -> tuple[int, ...]:
    """For each number the largest one up to it that divides its counterpart."""
    return tuple(
        max(d for d in range(1, min(n, whole) + 1) if whole % d == 0)
        for n, whole in zip(numbers, of, strict=True)
    )


def _require_at_most(most: int, name: str, value: int) -> None:
    if value > most:
        raise ValueError(f"{name} must be at most {most:,}, got {value:,}")


def _require_dropout(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")


def _require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
