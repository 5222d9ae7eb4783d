"""Files and bundled sets as integer symbols, and back."""

from autoregress.data.bundled import digits, digits_splits
from autoregress.data.dataset import Data
from autoregress.data.files import check_writable, read, write
from autoregress.data.images import picture

__all__ = ["Data", "check_writable", "digits", "digits_splits", "picture", "read", "write"]
