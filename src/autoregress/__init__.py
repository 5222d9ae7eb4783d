"""Exact-likelihood autoregressive models of bits, categories, images and video."""

from autoregress import data
from autoregress.checks import Causality, check_causality, check_faces, check_normalisation
from autoregress.coding import decode, encode
from autoregress.evaluation import Score, evaluate
from autoregress.mixture import Mixture
from autoregress.model import AutoregressiveModel, Member, Update
from autoregress.networks.made import MADE
from autoregress.networks.pixelcnn import GatedPixelCNN, PixelCNN
from autoregress.networks.pixelrnn import DiagonalBiLSTM, RowLSTM
from autoregress.networks.video_transformer import VideoTransformer
from autoregress.orderings import Ordering
from autoregress.planning import Plan, plan
from autoregress.processes import Processes, join
from autoregress.storage import load, save
from autoregress.symbols import Columns
from autoregress.training import Fit, Training, fit
from autoregress.version import __version__

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
    "Processes",
    "RowLSTM",
    "Score",
    "Training",
    "Update",
    "VideoTransformer",
    "__version__",
    "check_causality",
    "check_faces",
    "check_normalisation",
    "data",
    "decode",
    "encode",
    "evaluate",
    "fit",
    "join",
    "load",
    "plan",
    "save",
]
