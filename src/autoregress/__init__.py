"""Exact-likelihood autoregressive models of bits, categories, images and video."""

__version__ = "0.1.0"

from autoregress import data
from autoregress.checks import Causality, check_causality, check_faces, check_normalisation
from autoregress.coding import decode, encode
from autoregress.evaluation import Score, evaluate
from autoregress.mixture import Mixture
from autoregress.model import AutoregressiveModel, Member
from autoregress.networks.made import MADE
from autoregress.networks.pixelcnn import GatedPixelCNN, PixelCNN
from autoregress.networks.pixelrnn import DiagonalBiLSTM, RowLSTM
from autoregress.networks.video_transformer import VideoTransformer
from autoregress.orderings import Ordering
from autoregress.planning import Plan, plan
from autoregress.storage import load, save
from autoregress.symbols import Columns
from autoregress.training import Fit, Training, fit

__all__ = [
    "MADE",
    "AutoregressiveModel",
    "Causality",
    "Columns",
    "DiagonalBiLSTM",
    "Fit",
    "GatedPixelCNN",
    "Member",
    "Mixture",
    "Ordering",
    "PixelCNN",
    "Plan",
    "RowLSTM",
    "Score",
    "Training",
    "VideoTransformer",
    "check_causality",
    "check_faces",
    "check_normalisation",
    "data",
    "decode",
    "encode",
    "evaluate",
    "fit",
    "load",
    "plan",
    "save",
]
