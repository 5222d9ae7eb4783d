"""What a recipe sets: the options of each family, with the help that the command line shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from tyro.conf import arg

from autoregress.model import AutoregressiveModel
from autoregress.networks.made import MADE, Activation
from autoregress.networks.pixel import PixelModel
from autoregress.networks.pixelcnn import GatedPixelCNN, PixelCNN
from autoregress.networks.pixelrnn import DiagonalBiLSTM, RowLSTM
from autoregress.networks.video_transformer import VideoTransformer
from autoregress.networks.video_transformer.model import BLOCKS, Slices
from autoregress.predictors import Predictor
from autoregress.symbols import Columns, Levels
from autoregress.training import Training


class FamilyOptions(Protocol):
    """The options of one family of models."""

    usual: ClassVar[tuple[tuple[int, ...], int]]
    """Shape and levels of an example, as in the family's papers."""

    def build(
        self, event_shape: Sequence[int], symbols: int | Sequence[int], columns: Columns | None
    ) -> AutoregressiveModel:
        """A new model of this family for such events."""
        ...


Options = TypeVar("Options", bound=FamilyOptions, covariant=True)


@dataclass(frozen=True)
class Recipe(Generic[Options]):
    """A model and how it is trained; the data is the user's."""

    about: str | None
    """The docstring of its file."""
    model: Options
    training: Training
    data: Mapping[str, Any] = field(default_factory=dict)
    """How the data is read, where that differs from what the command line does by default."""
    shape: tuple[int, ...] | None = None
    """Of an example, where that differs from what is usual for the family."""
    symbols: int | None = None
    """Levels of its dimensions, likewise."""
    steps: int | None = None
    """Updates of the paper's run, as far as they are known."""

    @property
    def example(self) -> tuple[tuple[int, ...], int]:
        """Shape and levels of one."""
        shape, symbols = self.model.usual
        return self.shape or shape, self.symbols or symbols

    @property
    def title(self) -> str:
        """Its first line."""
        return (self.about or "").partition("\n")[0]


@dataclass(frozen=True)
class MADEOptions:
    """The model, an ``autoregress.MADE``.

    Args:
        hidden: Width of each hidden layer.
        orderings: The data's own order of dimensions; a number of random orders, used in turn;
            or any: a fresh one each update, for completing from any subset of dimensions.
        evidence: Train for completing from any subset too: every other update some dimensions,
            drawn at random, come first.
        connectivities: Draws of the masks' inner degrees, used in turn; or any: a fresh one each
            update.
        direct: Connect inputs to outputs directly, beside the hidden layers.
        conditioning: Connectivity-conditioning weights: tell each unit what it is connected to.
        activation: Nonlinearity of the hidden units.
        residual: The first width is that of a stream, to which each further one adds a block.
        norm: Normalise hidden layers, over what comes earlier in the ordering only.
        dropout: Probability of dropping a hidden unit in training.
    """

    hidden: tuple[int, ...] = (500,)
    orderings: int | Literal["natural", "any"] = "natural"
    evidence: bool = False
    connectivities: int | Literal["any"] = 1
    direct: bool = False
    conditioning: bool = False
    activation: Activation = "relu"
    residual: bool = False
    norm: bool = False
    dropout: float = 0.0

    usual: ClassVar[tuple[tuple[int, ...], int]] = ((784,), 2)

    def build(
        self, event_shape: Sequence[int], symbols: int | Sequence[int], columns: Columns | None
    ) -> MADE:
        return MADE(event_shape, symbols, columns=columns, **asdict(self))


@dataclass(frozen=True)
class PixelOptions:
    """The model, of images.

    Args:
        layers: Layers between the first convolution and the output.
        features: Features of each layer, h; the stream between them has h in a Gated PixelCNN
            and 2h in the others.
        head: Maps of the two 1x1 layers before the output; by default 2h.
        residual: Connections past each layer.
        skip: Connections from each layer to the output.
        scales: Strides of coarser grids that are modelled first, such as 4 2, for the
            multi-scale model.
        levels: Ordered levels are numbers, modelled by how far they are from a prediction; nominal
            ones are categories, as in the papers. Bits are bits.
        mixture: Number of logistics in the conditional of an ordered symbol.
        predictor: Of ordered symbols from their neighbours: the median of west, north and
            west + north - northwest; or none.
    """

    layers: int = 12
    features: int = 128
    head: int | None = None
    residual: bool = True
    skip: bool = True
    scales: tuple[int, ...] = ()
    levels: Annotated[Levels, arg(name="levels-are")] = "ordered"
    mixture: int = 5
    predictor: Predictor = "median"

    usual: ClassVar[tuple[tuple[int, ...], int]] = ((3, 32, 32), 256)
    family: ClassVar[type[PixelModel]]

    def build(
        self, event_shape: Sequence[int], symbols: int | Sequence[int], columns: Columns | None
    ) -> PixelModel:
        return self.family(event_shape, symbols, **asdict(self))


class PixelCNNOptions(PixelOptions):
    family = PixelCNN


class GatedPixelCNNOptions(PixelOptions):
    family = GatedPixelCNN


class RowLSTMOptions(PixelOptions):
    family = RowLSTM


class DiagonalBiLSTMOptions(PixelOptions):
    family = DiagonalBiLSTM


@dataclass(frozen=True)
class VideoTransformerOptions:
    """The model, an ``autoregress.VideoTransformer`` of clips.

    Args:
        subscale: Factors, in time, rows and columns, by which a clip is cut into slices.
        width: Width of the streams and of all hidden layers.
        embedding: Width of a pixel's embedding.
        heads: Of attention; several numbers are for one layer after another, over and over.
        head_width: Of a head's queries, keys and values.
        encoder_layers: Layers that see what is known of the clip.
        decoder_layers: Layers that see what is known of a slice.
        blocks: Of attention, in time, rows and columns, for one layer after another, over and
            over; they divide a slice.
        kernel: Of the encoder's convolution, three odd numbers; by default what the factors need.
        priming: Numbers of first frames that the model is trained to be given, 0 among them; each
            clip of an update draws one of the list.
        slices: What an update takes of each clip: one slice at random, or all.
        checkpointing: Less memory for a third more time.
    """

    subscale: tuple[int, int, int] = (4, 2, 2)
    width: int = 512
    embedding: int = 128
    heads: tuple[int, ...] = (8,)
    head_width: int = 128
    encoder_layers: int = 8
    decoder_layers: int = 8
    blocks: tuple[tuple[int, int, int], ...] = BLOCKS
    kernel: tuple[int, int, int] | None = None
    priming: tuple[int, ...] = (0,)
    slices: Slices = "one"
    checkpointing: bool = False

    usual: ClassVar[tuple[tuple[int, ...], int]] = ((16, 3, 64, 64), 256)

    def build(
        self, event_shape: Sequence[int], symbols: int | Sequence[int], columns: Columns | None
    ) -> VideoTransformer:
        return VideoTransformer(event_shape, symbols, **asdict(self))
