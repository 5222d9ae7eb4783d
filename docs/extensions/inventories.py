"""The names of other packages that the site links to, so that it is built without network."""

import tempfile
import zlib
from pathlib import Path

# For each package, the address of its documentation, and the pages of classes in it.
ELSEWHERE = {
    "torch": (
        "https://docs.pytorch.org/docs/stable",
        {
            "torch.Generator": "generated/torch.Generator.html",
            "torch.Tensor": "tensors.html",
            "torch.device": "tensor_attributes.html",
            "torch.nn.Module": "generated/torch.nn.Module.html",
            "torch.utils.data.Dataset": "data.html",
        },
    ),
    "numpy": (
        "https://numpy.org/doc/stable",
        {"numpy.ndarray": "reference/generated/numpy.ndarray.html"},
    ),
    "sklearn": (
        "https://scikit-learn.org/stable",
        {"sklearn.datasets.load_digits": "modules/generated/sklearn.datasets.load_digits.html"},
    ),
}
HEADER = """\
# Sphinx inventory version 2
# Project: {name}
# Version:
# The remainder of this file is compressed using zlib.
"""


def write(name: str) -> str:
    """Writes the inventory of a package, as Sphinx reads it, and returns its path."""
    _, pages = ELSEWHERE[name]
    lines = [f"{known} py:class 1 {page}#$ -\n" for known, page in pages.items()]
    path = Path(tempfile.mkdtemp()) / f"{name}.inv"
    path.write_bytes(HEADER.format(name=name).encode() + zlib.compress("".join(lines).encode()))
    return str(path)
