"""The products of a layer, for any shape and in every width of vectors."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_lab.kernels.numba_internals import instruction_sets
from tests.ppo_lab.kernels.product_shapes import check_edges, check_products

CHECKOUT = Path(__file__).parents[3]


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 70), st.integers(1, 130), st.integers(1, 130), st.integers(0, 10**6))
def test_products_of_any_shape_are_numpys(n: int, n_in: int, n_out: int, seed: int) -> None:
    check_products(n, n_in, n_out, seed)


def test_products_of_shapes_beside_a_tiles_edge_are_numpys() -> None:
    check_edges(300)


def test_a_wide_layer_goes_through_the_copied_panels() -> None:
    check_products(300, 200, 130, 0)
    check_products(256, 256, 256, 0)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 alone")
@pytest.mark.parametrize(
    ("cpu", "features", "expected"),
    [
        ("generic", "", "4 2"),
        pytest.param("haswell", "+avx,+avx2,+fma", "8 2", marks=pytest.mark.slow),
        pytest.param(
            "skylake-avx512",
            "+avx512f,+avx512dq,+avx512vl,+avx512bw",
            "16 4",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_width_of_vectors_makes_the_same_products(
    cpu: str, features: str, expected: str, tmp_path: Path
) -> None:
    if missing := {name[1:] for name in features.split(",") if name} - instruction_sets():
        pytest.skip(f"this CPU has no {', '.join(sorted(missing))}")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.ppo_lab.kernels.product_shapes", "150"],
        env={
            **os.environ,
            "NUMBA_CPU_NAME": cpu,
            "NUMBA_CPU_FEATURES": features,
            "NUMBA_CACHE_DIR": str(tmp_path),
        },
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected
