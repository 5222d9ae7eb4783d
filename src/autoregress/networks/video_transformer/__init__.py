"""The subscale Video Transformer (Weissenborn et al., arXiv 1906.02634), on raw pixels."""

from autoregress.networks.video_transformer.model import VideoTransformer

__all__ = ["VideoTransformer"]
