"""Counts of magnitudes: histograms, one bin exactly, and chunk by chunk."""

from __future__ import annotations

import torch

from evomerge.kernels.blocks import CHUNK, spans
from evomerge.kernels.histogram import Histogram, sum_by_key
from evomerge.kernels.operands import Values
from evomerge.kernels.reference.magnitudes import magnitude_bits
from evomerge.kernels.reference.values import block_of, blocks_of


def histogram_of(values: Values, limit: int) -> Histogram:
    """See :func:`evomerge.kernels.histogram_of`."""
    shift = 0
    bin_keys, counts = torch.empty(0, dtype=torch.int32), torch.empty(0, dtype=torch.int64)
    for block in blocks_of(values):
        new, times = torch.unique(magnitude_bits(block) >> shift, return_counts=True)
        bin_keys, counts = sum_by_key(torch.cat([bin_keys, new.cpu()]), torch.cat([counts, times.cpu()]))
        while bin_keys.numel() > limit:
            shift += 1
            bin_keys, counts = sum_by_key(bin_keys >> 1, counts)
    return Histogram.counted(shift, bin_keys, counts)


def bin_counts(values: Values, bin_key: int, shift: int) -> torch.Tensor:
    """Occurrences of each magnitude of one bin; int64, shape ``(2**shift,)``."""
    counts = torch.zeros(1 << shift, dtype=torch.int64)
    for block in blocks_of(values):
        bits = magnitude_bits(block)
        offsets = bits[bits >> shift == bin_key] & ((1 << shift) - 1)
        counts += torch.bincount(offsets, minlength=counts.numel()).cpu()
    return counts


def chunk_counts(values: Values, bin_keys: torch.Tensor) -> torch.Tensor:
    """Occurrences of each of these magnitudes, ascending and at least one, in every chunk; int32, (keys, chunks)."""
    found, device = [], values.base.device
    searched = bin_keys.to(device)
    for span in spans(values.base.numel(), device=device):
        bits = magnitude_bits(block_of(values, span))
        row = torch.searchsorted(searched, bits).clamp_(max=bin_keys.numel() - 1)
        chunks = -(-bits.numel() // CHUNK)
        cell = row * chunks + torch.arange(bits.numel(), device=device) // CHUNK
        counts = torch.bincount(cell[searched[row] == bits], minlength=bin_keys.numel() * chunks)
        found.append(counts.view(-1, chunks).to("cpu", torch.int32))
    return torch.cat(found, dim=1)
