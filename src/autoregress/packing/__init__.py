"""Files and folders as examples that a model compresses, and back to the same files."""

from autoregress.packing.pack import Restored, pack, restore
from autoregress.packing.packed import Packed
from autoregress.packing.sizes import comparison, model_bytes

__all__ = ["Packed", "Restored", "comparison", "model_bytes", "pack", "restore"]
