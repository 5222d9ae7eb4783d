"""The subscale Video Transformer (Weissenborn, Täckström, Uszkoreit, 2020), on raw pixels."""

from autoregress.networks.video_transformer.model import VideoTransformer

__all__ = ["VideoTransformer"]
