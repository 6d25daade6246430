"""Writes ``torchao.safetensors``: weights, and what torchao 0.18 makes of them. Needs torchao; run once, by hand.

    python tests/golden/quantised/make.py

Weight-only int4 has no kernel for processors there, so that the primitives are called that its kernel's packing calls.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quant_primitives, quantize_

GROUP = 128


def whole(weight: torch.Tensor, config: object) -> torch.Tensor:
    """A linear layer's weights after quantising it and back."""
    layer = torch.nn.Sequential(torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype))
    layer[0].weight.data.copy_(weight)
    quantize_(layer, config)
    return layer[0].weight.dequantize().contiguous()


def int4(weight: torch.Tensor) -> torch.Tensor:
    """The tinygemm grid."""
    grid, ends = ((1, GROUP), torch.int32), (0, 15)
    asymmetric = quant_primitives.MappingType.ASYMMETRIC
    scale, zero = quant_primitives._choose_qparams_affine_tinygemm(
        weight, asymmetric, *grid, *ends, scale_dtype=weight.dtype, zero_point_dtype=weight.dtype
    )
    steps = quant_primitives._quantize_affine_tinygemm(weight, (1, GROUP), scale, zero, torch.int32, *ends)
    return quant_primitives._dequantize_affine_tinygemm(
        steps, (1, GROUP), scale, zero, torch.int32, *ends, output_dtype=weight.dtype
    ).contiguous()


if __name__ == "__main__":
    torch.manual_seed(0)
    found = {}
    for name in ("float32", "bfloat16", "float16"):
        weight = (0.05 * torch.randn(12, 256)).to(getattr(torch, name))
        weight[3, 7] = 4.0  # an outlier, which widens its row's grid
        found[f"{name}.weight"] = weight
        found[f"{name}.int8"] = whole(weight, Int8WeightOnlyConfig())
        found[f"{name}.fp8"] = whole(weight, Float8WeightOnlyConfig())
        found[f"{name}.int4"] = int4(weight)
    save_file(found, Path(__file__).with_name("torchao.safetensors"))
