"""All bindings; importing them imports Triton."""

from evomerge.kernels.fused.finite import finite_flag
from evomerge.kernels.fused.mixture import mix, net_sign
from evomerge.kernels.fused.pcb import pcb_merge

__all__ = ["finite_flag", "mix", "net_sign", "pcb_merge"]
