"""The same bits of every family, and every golden file, under all combinations of settings.

    python tests/every_setting.py

The tests try five of them; these are 81, of some ten seconds each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import portable_process
import torch
from families import FAMILIES
from test_portable import DTYPES, made

SETTINGS: list[list[dict[str, str]]] = [
    [{"OMP_NUM_THREADS": threads} for threads in ("1", "2", "4")],
    [{"ATEN_CPU_CAPABILITY": each} for each in ("default", "avx2", "avx512")],
    [{}, *({"MKL_CBWR": each} for each in ("COMPATIBLE", "AVX2"))],
    [{}, {"TORCH_MKLDNN": "0"}, {"ONEDNN_MAX_CPU_ISA": "SSE41"}],
]


def main() -> None:
    script, wrong = Path(portable_process.__file__), 0
    with tempfile.TemporaryDirectory() as folder:
        for name, dtype in product(FAMILIES, DTYPES):
            torch.save(made(name, dtype).state_dict(), f"{folder}/{name}--{dtype}.pt")
        expected = portable_process.main(folder)
        for parts in product(*SETTINGS):
            settings = {name: value for part in parts for name, value in part.items()}
            found = subprocess.run(
                [sys.executable, script, folder],
                env={**os.environ, **settings},
                capture_output=True,
                text=True,
                check=True,
            )
            bits, decoded = json.loads(found.stdout)
            same = bits == expected and all(decoded.values())
            wrong += not same
            shown = " ".join(f"{name}={value}" for name, value in settings.items())
            print(f"{'same' if same else 'DIFFERENT'}: {shown}", flush=True)
    print(f"{len(expected)} models and the golden files: {wrong} settings differ")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
