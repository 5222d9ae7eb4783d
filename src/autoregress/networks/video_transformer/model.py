"""The whole model: slice by slice, pixel by pixel, channel by channel (arXiv 1906.02634)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from autoregress.conditionals import Bernoulli, Categorical, Conditional, Stacked
from autoregress.configs import VideoTransformerConfig
from autoregress.families import family
from autoregress.model import ONLY_UPDATE, Array, AutoregressiveModel, Member, Update
from autoregress.networks.ordered import OrderedPixel, Past
from autoregress.networks.video_transformer.attention import BlockLayer
from autoregress.networks.video_transformer.channels import ChannelHead, Head, OrderedHead
from autoregress.networks.video_transformer.decoder import SliceDecoder
from autoregress.networks.video_transformer.embeddings import DigitEmbedding, NumberEmbedding
from autoregress.networks.video_transformer.encoder import SliceEncoder
from autoregress.networks.video_transformer.past import PastOfSlices
from autoregress.networks.video_transformer.subscale import Subscaling
from autoregress.networks.video_transformer.windows import DigitWindows, NumberWindows
from autoregress.orderings import Ordering
from autoregress.symbols import Columns
from autoregress.traversal import Unrolling

# Largest number of pixels measured at once, in one slice of each clip of a chunk; of narrow models
# more, with this number of features.
CHUNK, FEATURES = 2**14, 2**21
# Number of features of a slice's pixels that the encoder computes at once, while a processor's
# caches hold them, for a decoder that then takes all clips pixel by pixel.
ENCODED = 2**19
# Largest number of predictions and nearby symbols from which training starts.
START = 2**23


@dataclass(frozen=True)
class PrimedMember(Member):
    """The subscale ordering, with the first ``frames`` frames before all else.

    The encoder of every slice sees those frames. The member does not predict them: all their
    symbols are equally likely.
    """

    frames: int


@family
class VideoTransformer(AutoregressiveModel):
    """Video by subscaling and block-local attention, with exact likelihood on raw symbols.

    A clip is cut into st · sh · sw slices (``Ordering.subscale``). Each is generated in raster
    order, channel by channel, given the slices before it: an encoder reads the known pixels of
    the clip from the positions of the slice's pixels, and a masked decoder adds the known pixels
    of the slice ("Scaling Autoregressive Video Models", arXiv 1906.02634).

    A symbol can depend on pixels of other slices and known frames that the encoder's kernel
    reaches from any pixel of its own slice that the encoder's blocks connect with its pixel; on
    pixels of its own slice that the decoder's masked 3 × 3 × 3 kernel reaches from its pixel, or
    from an earlier one that the decoder's blocks connect with it; and on the channels before it.
    Unless ``predictor`` is "none", ordered symbols also depend on those near each of these pixels,
    of its own frame and the three before.

    Args:
        event_shape: (T, C, H, W).
        symbols: number of levels K of every channel. If they are not ordered, 256 are predicted as
            a coarse and a fine digit of 16 levels each, any other number directly.
        context: number of features of an optional conditioning vector.
        labels: as for any :class:`~autoregress.model.AutoregressiveModel`.
        **options: the fields of :class:`~autoregress.configs.VideoTransformerConfig`.

    Given a number of first frames that ``priming`` lists, ``complete`` and
    ``conditional_log_prob`` are exact for p(rest | known frames) of a network that sees all of
    those frames from the first slice on. This is not the quotient p(clip) / p(known frames) of
    what ``log_prob`` measures, in which early slices would not see those pixels of the known
    frames that belong to later slices. Instead of those frames it can be given what its ordering
    visits first, like any model; if each slice is one frame, that is any number of first frames.

    Unknown from the paper, and chosen here: the encoder's kernel, the position in time of the
    masked kernel, the order of the six digits of RGB, the initial weights, and a normalisation
    at the end of the encoder.

    Raises:
        ValueError: invalid sizes, or ones that do not divide each other.

    Example:
        >>> small = {"width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
        >>> options = {"subscale": (4, 1, 1), "priming": (0, 2), **small}
        >>> model = ar.VideoTransformer((4, 1, 4, 4), symbols=2, **options)
        >>> clips = torch.zeros(1, 4, 1, 4, 4, dtype=torch.int64)
        >>> model.log_prob(clips).shape, model.continue_clip(clips[:, :2], 3).shape
        (torch.Size([1]), torch.Size([1, 5, 1, 4, 4]))
    """

    Config = VideoTransformerConfig
    config: VideoTransformerConfig

    def __init__(
        self,
        event_shape: Sequence[int],
        symbols: int | Sequence[int] = 256,
        *,
        context: int = 0,
        labels: Sequence[str] | None = None,
        columns: Columns | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            event_shape, symbols, context=context, labels=labels, columns=columns, **options
        )
        config = self.config
        width, head_width, embedding = config.width, config.head_width, config.embedding
        if not self.symbols.uniform:
            raise ValueError("every channel of a clip has the same number of levels")
        self.subscaling = Subscaling(self.event_shape, config.subscale)
        kernel = config.kernel or tuple(min(2 * (s // 2) + 1, 7) for s in config.subscale)
        if max(config.priming) >= self.event_shape[0]:
            raise ValueError(
                f"priming lists numbers of known frames, all below {self.event_shape[0]}, got "
                f"{config.priming}"
            )
        self.checkpointing = config.checkpointing
        pixels = max(CHUNK, FEATURES // width)
        self.chunk_rows = max(1, pixels // math.prod(self.subscaling.grid))
        self._priming = config.priming
        self._primed = {frames: self._member(frames) for frames in sorted(set(config.priming))}

        grid, channels = self.subscaling.grid, self.event_shape[1]
        heads = (config.heads,) if isinstance(config.heads, int) else config.heads
        fitting = [_fitted(block, grid) for block in config.blocks]

        def layers(count: int, *, causal: bool) -> list[BlockLayer]:
            kinds = zip(itertools.cycle(heads), itertools.cycle(fitting), strict=False)
            return [
                BlockLayer(width, number, head_width, block, causal=causal)
                for number, block in itertools.islice(kinds, count)
            ]

        levels = self.symbols.levels[0]
        ordered = self.symbols.ordered[0]
        self.past = PastOfSlices(self.subscaling, levels, config.predictor if ordered else "none")
        self.channels: Head
        if ordered:
            joint = OrderedPixel(
                channels,
                levels,
                config.mixture,
                nearby=len(self.past.nearby),
                predictions=self.past.predictions,
            )
            self.channels = OrderedHead(width, joint)
            entry, embed = NumberWindows, partial(NumberEmbedding, joint)
        else:
            self.channels = ChannelHead(width, channels, levels)
            entry = DigitWindows
            embed = partial(DigitEmbedding, self.channels.count, self.channels.levels, embedding)
        self.encoder = SliceEncoder(
            self.subscaling,
            embedding=embedding,
            width=width,
            context=self.context,
            layers=layers(config.encoder_layers, causal=False),
            entry=entry(
                self.subscaling,
                self.channels.count,
                self.channels.levels,
                kernel=kernel,
                width=embedding,
            ),
        )
        self.decoder = SliceDecoder(
            grid,
            width=width,
            layers=layers(config.decoder_layers, causal=True),
            embed=embed(),
        )

    @classmethod
    def base(cls, event_shape: Sequence[int], symbols: int = 256, **options: Any) -> Self:
        """The paper's base model: about 46 million parameters for clips (16, 3, 64, 64)."""
        return cls(event_shape, symbols, **vars(VideoTransformerConfig.base(**options)))

    @classmethod
    def large(cls, event_shape: Sequence[int], symbols: int = 256, **options: Any) -> Self:
        """The paper's large model: about 373 million parameters for clips (16, 3, 64, 64)."""
        return cls(event_shape, symbols, **vars(VideoTransformerConfig.large(**options)))

    def start_from(self, x: Tensor) -> None:
        numbers = x.numel() * (self.past.predictions + len(self.past.nearby))
        digits, past = self._pixels(x[:: math.ceil(numbers / START)], 0)
        self.channels.start_from(digits.flatten(0, 3), past.map(lambda each: each.flatten(0, 3)))

    # Members

    @property
    def members(self) -> list[PrimedMember]:
        return [self._primed[0]]

    def _member(self, frames: int) -> PrimedMember:
        ordering = Ordering.subscale(self.event_shape, self.subscaling.factors)
        known = frames * self.dims // self.event_shape[0]
        first = torch.arange(self.dims, device="cpu") < known
        return PrimedMember(ordering.promote(first), frames)

    def _can_be_given(self, frames: int) -> bool:
        first = torch.arange(self.dims, device="cpu") < frames * self.dims // self.event_shape[0]
        return frames in self._priming or self.members[0].ordering.is_prefix(first)

    def members_given(self, known: Tensor) -> list[Member]:
        known = known.cpu()
        frames = int(known.sum()) * self.event_shape[0] // self.dims
        first = torch.arange(self.dims) < frames * self.dims // self.event_shape[0]
        whole = torch.equal(known, first)
        if whole and frames in self._priming:
            return [self._primed[frames]]
        (member,) = self.members
        if member.ordering.is_prefix(known):
            return [member]
        trained = " or ".join(map(str, sorted(set(self._priming))))
        if whole:
            raise ValueError(
                f"this model was trained with {trained} known frames, not {frames}; give it that "
                f"number, or train a model with priming=(0, {frames})"
            )
        raise ValueError(
            f"this model conditions exactly on the first {trained} frames, or on what its ordering "
            "visits first, and on no other set of known symbols"
        )

    # The parallel face

    def forward(
        self, x: Tensor, context: Tensor | None = None, member: Member | None = None
    ) -> Conditional:
        frames, slices = _frames(member), range(len(self.subscaling.offsets))
        states = self._woven(
            [self._slice(x, *self._everywhere(x, n, frames), context)[0] for n in slices]
        )
        digits, past = self._pixels(x, frames)
        each = [
            self._uniform(x[:, t].shape)
            if t < frames
            else self.channels(states[:, t], digits[:, t], past.map(lambda p, t=t: p[:, t]))
            for t in range(self.event_shape[0])
        ]
        return Stacked(each, dim=1)

    def _pixels(self, x: Tensor, frames: int) -> tuple[Tensor, Past]:
        """The digits (batch, T, H, W, F) and the past of all pixels of clips."""
        parts = [
            self.past(x, *self._everywhere(x, number, frames))
            for number in range(len(self.subscaling.offsets))
        ]
        past = Past(
            self._woven([part.predictions for part in parts]),
            self._woven([part.nearby for part in parts]),
        )
        return self.channels.digits(x.movedim(2, -1)), past

    def _woven(self, parts: list[Tensor]) -> Tensor:
        """Tensors (batch, t, h, w, …) of all slices as one of clips, (batch, T, H, W, …)."""
        each = torch.stack([part.flatten(4).movedim(-1, 2) for part in parts], dim=1)
        return self.subscaling.weave(each).movedim(2, -1).unflatten(-1, parts[0].shape[4:])

    def objective(
        self, x: Tensor, context: Tensor | None = None, update: Update = ONLY_UPDATE
    ) -> Tensor:
        """An unbiased estimate of −log p from one slice of each clip, (batch,) nats, float64.

        For each clip, the number of its first frames that are known (``priming``) is drawn, and
        one of the slices that are not entirely known. The nats of that slice are scaled to all
        such slices. They are scaled further as if known frames cost as much as the others, so
        that they are those of a whole clip whatever was drawn.

        With ``slices="all"`` every slice is used, and only the number of known frames is drawn.
        """
        length, slices = self.event_shape[0], len(self.subscaling.offsets)
        generator = update.generator
        total = len(x) if update.total is None else update.total
        own = slice(None) if update.places is None else update.places
        choices = torch.tensor(self._priming)
        frames = choices[torch.randint(len(choices), (total,), generator=generator)][own]
        scale = length / (length - frames).double()
        if self.config.slices == "all":
            drawn = [torch.full_like(frames, number) for number in range(slices)]
        else:
            # The last frame of slice (a, b, c) is T - st + a: the slices before ``first`` are
            # entirely known.
            st, sh, sw = self.subscaling.factors
            first = (frames - (length - st)).clamp(min=0) * sh * sw
            uniform = torch.rand(total, generator=generator, dtype=torch.float64)[own]
            drawn = [first + (uniform * (slices - first)).long()]
            scale = scale * (slices - first)
        frames = frames.to(x.device)
        nats = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for numbers in (each.to(x.device) for each in drawn):
            log_prob = self._slice_log_prob(x, numbers, frames, context)
            known = self._known(numbers, frames)[:, :, None, None, None]
            nats = nats - log_prob.masked_fill(known, 0).flatten(1).sum(1, dtype=torch.float64)
        return scale.to(x.device) * nats

    def member_surprisal(self, x: Tensor, context: Tensor | None, member: Member) -> Tensor:
        # Slice by slice, which needs less memory than all at once.
        log_probs = [
            self._slice_log_prob(x, *self._everywhere(x, number, _frames(member)), context).double()
            for number in range(len(self.subscaling.offsets))
        ]
        return -self.subscaling.weave(torch.stack(log_probs, dim=1))

    def _slice_log_prob(
        self, x: Tensor, slices: Tensor, frames: Tensor, context: Tensor | None
    ) -> Tensor:
        """log p of the symbols of a slice of each clip, (batch, t, C, h, w) nats."""
        log_prob = self.channels.log_prob(
            *self._slice(x, slices, frames, context), self._own(x, slices)
        )
        known = self._known(slices, frames)[:, :, None, None, None]
        return log_prob.masked_fill(known, -math.log(self.symbols.levels[0]))

    def _slice(
        self, x: Tensor, slices: Tensor, frames: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor, Past]:
        """The states (batch, t, h, w, width), digits and past of a slice of each clip."""
        encoded = self._encode(x, slices, frames, context)
        digits = self.channels.digits(self._own(x, slices).movedim(2, -1))
        past = self.past(x, slices, frames)
        states = self.decoder(digits, past, encoded, checkpointing=self.checkpointing)
        return states, digits, past

    def _encode(self, x: Tensor, slices: Tensor, frames: Tensor, context: Tensor | None) -> Tensor:
        digits = self.channels.digits(x.movedim(2, -1))
        return self.encoder(digits, slices, frames, context, checkpointing=self.checkpointing)

    def _own(self, x: Tensor, slices: Tensor) -> Tensor:
        """The symbols of a slice of each clip, (batch, t, C, h, w)."""
        return self.subscaling.split(x)[torch.arange(len(x), device=x.device), slices]

    def _known(self, slices: Tensor, frames: Tensor) -> Tensor:
        """Which frames of a slice are among the first ``frames`` of the clip, (batch, t) bool."""
        st, sh, sw = self.subscaling.factors
        numbers = torch.arange(0, self.event_shape[0], st, device=slices.device)
        return numbers + (slices // (sh * sw))[:, None] < frames[:, None]

    @staticmethod
    def _everywhere(x: Tensor, number: int, frames: int) -> tuple[Tensor, Tensor]:
        """The same slice and the same number of known frames for every clip."""
        one = torch.ones(len(x), dtype=torch.int64, device=x.device)
        return one * number, one * frames

    # The incremental face

    def unroll(
        self, batch: int, context: Tensor | None = None, member: Member | None = None
    ) -> Unrolling:
        """Runs the encoder once per slice; every pixel of a slice then costs the same."""
        member, frames = member or self.members[0], _frames(member)
        x = torch.zeros(batch, *self.event_shape, dtype=torch.int64, device=self.device)
        known = frames * self.dims // self.event_shape[0]
        for position in member.ordering.visit[:known].tolist():
            x.flatten(1)[:, position] = yield self._uniform((batch,))

        (t, h, w), (st, sh, sw) = self.subscaling.grid, self.subscaling.factors
        for number, (a, b, c) in enumerate(self.subscaling.offsets):
            own = x[:, a::st, :, b::sh, c::sw]
            encoded = self._encoded(x, number, frames, context)
            places = self.past.places(*self._everywhere(x[:1], number, frames))
            states = self.decoder.unroll(encoded)
            for place in itertools.product(range(t), range(h), range(w)):
                i, j, k = place
                pixel, past = own[:, i, :, j, k], self.past.at(x, place, places)
                state = states.state(place, past)
                if a + i * st >= frames:
                    yield from self.channels.unroll(state, pixel, past)
                states.put(place, self.channels.digits(pixel), past)

    def _encoded(self, x: Tensor, number: int, frames: int, context: Tensor | None) -> Tensor:
        """The encoder's output for the same slice of every clip."""
        nothing_known = number == frames == 0 and context is None
        few = max(1, ENCODED // (self.config.width * math.prod(self.subscaling.grid)))
        clips = (x[:1] if nothing_known else x).split(few)
        contexts = [None] * len(clips) if context is None else context.split(few)
        parts = [
            self._encode(own, *self._everywhere(own, number, frames), condition)
            for own, condition in zip(clips, contexts, strict=True)
        ]
        return torch.cat(parts).expand(len(x), -1, -1, -1, -1)

    def _uniform(self, shape: Sequence[int]) -> Conditional:
        levels = self.symbols.levels[0]
        if levels == 2:
            return Bernoulli(torch.zeros(*shape, device=self.device))
        return Categorical(torch.zeros(*shape, levels, device=self.device))

    # Continuation

    @torch.no_grad()
    def continue_clip(
        self,
        x: Array,
        frames: int,
        context: Tensor | None = None,
        *,
        given: int | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draws further frames of a clip, by windows of the trained length T.

        Each window begins with the last ``given`` frames so far, and its other T − given frames
        are drawn. So this is a chain of exact conditionals with a memory of ``given`` frames, not
        a draw from one distribution over the long clip; older frames are forgotten.

        Args:
            x: integer symbols (batch, known frames, C, H, W), with at least as many frames as
                each window is given.
            frames: number of frames to add.
            context: (batch, context) if the model takes one.
            given: number of frames each window is given, one of ``priming`` or any that its
                ordering visits first; by default the largest of these that x has.
            temperature: as in :meth:`sample`; only with 1 are the draws exact.

        Returns:
            (batch, known frames + frames, C, H, W) int64, which begins with x.

        Raises:
            ValueError: wrong shape, dtype or symbols, a negative number of frames to add, or fewer
                frames than the model was trained to be given.
        """
        if frames < 0:
            raise ValueError(f"frames to add must be at least 0, got {frames}")
        x = torch.as_tensor(x, device=self.device)
        frame = self.event_shape[1:]
        if x.dim() != 5 or x.shape[2:] != frame:
            raise ValueError(
                f"clips to continue are (batch, frames, {', '.join(map(str, frame))}), "
                f"got {tuple(x.shape)}"
            )
        can_be_given = [n for n in range(self.event_shape[0]) if self._can_be_given(n)]
        usable = [n for n in can_be_given if 0 < n <= x.shape[1]]
        if not usable or (given is not None and given not in usable):
            raise ValueError(
                f"a clip is continued from a number of frames that the model can be given, "
                f"{', '.join(map(str, can_be_given))}; there are {x.shape[1]}"
                + ("" if given is None else f" and given is {given}")
            )
        given = max(usable) if given is None else given
        total = x.shape[1] + frames
        known = torch.zeros(self.event_shape, dtype=torch.bool, device=self.device)
        known[:given] = True
        while x.shape[1] < total:
            window = x.new_zeros(len(x), *self.event_shape)
            window[:, :given] = x[:, -given:]
            drawn = self.complete(
                window, known, context, temperature=temperature, generator=generator
            )
            x = torch.cat([x, drawn[:, given:]], dim=1)
        return x[:, :total].long()


def _frames(member: Member | None) -> int:
    """The number of first frames a member is given."""
    if member is None:
        return 0
    assert isinstance(member, PrimedMember)
    return member.frames


def _fitted(block: Sequence[int], grid: Sequence[int]) -> tuple[int, ...]:
    """A block cut to the size of a slice.

    Raises:
        ValueError: it does not divide the slice.
    """
    fitted = tuple(min(b, n) for b, n in zip(block, grid, strict=True))
    if any(b < 1 or n % b for b, n in zip(fitted, grid, strict=True)):
        raise ValueError(
            f"the block {tuple(block)} does not divide a slice of {grid[0]} frames, {grid[1]} rows "
            f"and {grid[2]} columns; give blocks that do, or another subscaling"
        )
    return fitted
