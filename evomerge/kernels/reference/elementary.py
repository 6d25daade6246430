"""Exponential and hyperbolic tangent as explicit float32 polynomials: the same bits on every device and thread count.

The polynomials are those of the Cephes library (Moshier 1989), good to a few units in the last place.
"""

from __future__ import annotations

import torch

_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.44269504088896341, 0.693359375, -2.12194440e-4
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_TANH = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
_LARGEST = 88.0


def exp(x: torch.Tensor) -> torch.Tensor:
    """The exponential of float32 numbers, which are taken as lying between -87 and 88; NaN stays NaN."""
    x = x.clamp(-87.0, _LARGEST)
    power = (x * _LOG2_E).round()
    rest = x - power * _LN2_HIGH - power * _LN2_LOW
    series = _polynomial(_EXP, rest) * (rest * rest) + rest + 1.0
    return series * ((power.nan_to_num().to(torch.int32) + 127) << 23).view(torch.float32)


def tanh(x: torch.Tensor) -> torch.Tensor:
    """The hyperbolic tangent of float32 numbers; NaN stays NaN."""
    square = x * x
    near = _polynomial(_TANH, square) * square * x + x
    size = x.abs()
    far = torch.copysign(1.0 - 2.0 / (exp(size.clamp(max=_LARGEST / 2) * 2.0) + 1.0), x)
    return torch.where(size < 0.625, near, far)


def _polynomial(coefficients: tuple[float, ...], x: torch.Tensor) -> torch.Tensor:
    """Horner's rule, highest power first, each step a product and a sum."""
    result = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        result = result * x + coefficient
    return result
