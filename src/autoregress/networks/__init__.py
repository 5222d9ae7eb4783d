"""The families of models that come with the package."""

from autoregress.networks.made import MADE
from autoregress.networks.pixelcnn import GatedPixelCNN, PixelCNN
from autoregress.networks.pixelrnn import DiagonalBiLSTM, RowLSTM
from autoregress.networks.video_transformer import VideoTransformer

__all__ = ["MADE", "DiagonalBiLSTM", "GatedPixelCNN", "PixelCNN", "RowLSTM", "VideoTransformer"]
