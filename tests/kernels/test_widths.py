"""The compiled kernels by other compilers and for other registers than this machine's, compared with torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are those of x86")
@pytest.mark.parametrize("flag", ["-O3", "-mno-avx512f", "-mno-avx"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_narrower_registers_and_other_compilers(compiler: str, flag: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    wrapper = tmp_path / "cc"
    wrapper.write_text(f'#!/bin/sh\nexec {compiler} "$@" {flag}\n', encoding="utf-8")
    wrapper.chmod(0o755)
    environment = {**os.environ, "CC": str(wrapper), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    files = [str(HERE / "test_native.py"), str(HERE / "test_rank_lookup.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files],
        cwd=HERE.parents[1],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
