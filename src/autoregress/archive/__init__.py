"""Files of compressed examples: written and read in chunks, with or without their model."""

from autoregress.archive.header import fingerprint
from autoregress.archive.reading import Archive, Part, decode, described, digest_in
from autoregress.archive.weights import model_size
from autoregress.archive.writing import Writer, encode, encode_to

__all__ = [
    "Archive",
    "Part",
    "Writer",
    "decode",
    "described",
    "digest_in",
    "encode",
    "encode_to",
    "fingerprint",
    "model_size",
]
