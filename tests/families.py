"""A tiny model of every family: the one list that tests go through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autoregress as ar

Build = Callable[..., ar.AutoregressiveModel]


def _family(kind: Callable[..., ar.AutoregressiveModel], **defaults: Any) -> Build:
    return lambda **options: kind(**{**defaults, **options})


PIXELS: dict[str, Any] = {"event_shape": (2, 2, 3), "symbols": 3, "layers": 1, "features": 4}
CLIPS: dict[str, Any] = {
    "event_shape": (2, 1, 2, 4),
    "symbols": 3,
    "subscale": (1, 1, 2),
    "width": 8,
    "embedding": 4,
    "heads": (1,),
    "head_width": 4,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "blocks": ((1, 2, 2),),
}

# Those of images.
IMAGES = ("PixelCNN", "GatedPixelCNN", "RowLSTM", "DiagonalBiLSTM")


def _mixture(**options: Any) -> ar.Mixture:
    """Of models with different numbers of members; the options are those of the parts."""
    return ar.Mixture(
        [
            FAMILIES["MADE"](event_shape=(2, 2, 3), symbols=3, orderings=3, **options),
            FAMILIES["PixelCNN"](**options),
        ]
    )


# From a family's name to what makes a tiny model of it; keywords replace its options.
FAMILIES: dict[str, Build] = {
    "MADE": _family(ar.MADE, event_shape=(2, 3), symbols=(2, 3, 2, 4, 2, 2), hidden=(6, 5)),
    "ordered MADE": _family(
        ar.MADE,
        event_shape=(6,),
        symbols=(2, 5, 3, 2, 4, 3),
        ordered=(False, True, False, False, True, True),
        hidden=(6, 5),
        mixture=2,
    ),
    **{name: _family(getattr(ar, name), **PIXELS) for name in IMAGES},
    "VideoTransformer": _family(ar.VideoTransformer, **CLIPS, ordered=False),
    "ordered VideoTransformer": _family(ar.VideoTransformer, **CLIPS, mixture=4),
    "Mixture": _mixture,
}
