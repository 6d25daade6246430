"""Settings of how candidates are merged and run."""

from __future__ import annotations

from dataclasses import dataclass, field

from evomerge.settings import setting

__all__ = ["PRECISIONS", "UNQUANTISED", "ModelSettings", "RuntimeSettings"]

PRECISIONS = ("float32", "bfloat16", "float16")
UNQUANTISED = "none"
SCHEMES = (UNQUANTISED, "int8", "int4", "fp8")
ATTENTION = ("auto", "sdpa", "eager", "flash_attention_2", "flash_attention_3", "flex_attention")


@dataclass(frozen=True)
class RuntimeSettings:
    """Settings of running a model.

    Attributes:
        dtype: Number type that it computes in; ``auto`` follows the weights and the machine.
        attention: transformers' name of the attention implementation; ``auto`` is what it chooses for the model.
        quantise: The weight-only quantisation whose rounding of weights a model is scored with.
        device: ``auto``, ``cpu``, ``cuda``, ...
        device_map: Devices that the layers of a model are spread over; ``auto`` is all GPUs that a worker sees, none
            is ``device`` alone.
        max_memory: Most weights on each of them, such as ``40GB``; one for each, or one for all.
        threads: Per worker; None is what the run began with, else what a short measurement says.
        trust_remote_code: Whether code that comes with a checkpoint may run.
    """

    dtype: str = field(
        default="auto",
        metadata=setting(
            "what the model computes in; auto: half precision where weights and machine suit",
            choices=("auto", *PRECISIONS),
        ),
    )
    attention: str = field(
        default="auto",
        metadata=setting("attention implementation; auto: what transformers chooses for the model", choices=ATTENTION),
    )
    quantise: str = field(
        default=UNQUANTISED,
        metadata=setting(
            "score models as they will be served: weights rounded as torchao's weight-only quantisation rounds them, "
            "none of its speed; exports stay unquantised",
            choices=SCHEMES,
        ),
    )
    device: str = field(default="auto", metadata=setting("cpu, cuda, cuda:1, ... ; auto: a GPU where there is one"))
    device_map: tuple[str, ...] = field(
        default=(),
        metadata=setting("spreads a model's layers; auto: over all GPUs that a worker has; or [cuda:0,cuda:1]"),
    )
    max_memory: tuple[str, ...] = field(
        default=(),
        metadata=setting("most weights on each device of device_map: [30GB,40GB]; none: equal shares"),
    )
    threads: int | None = field(
        default=None, metadata=setting("threads per worker; null: as the run began, else measured", low=1)
    )
    trust_remote_code: bool = field(default=False, metadata=setting("run model code that comes with a checkpoint"))


@dataclass(frozen=True)
class ModelSettings(RuntimeSettings):
    """Settings of merging and running candidates.

    Attributes:
        out_dtype: Number type of merged weights, whatever the model computes in; ``auto`` is what the reference
            model is stored in.
        merge_dtype: Number type that the inputs are read as.
        prepared_disk: Most bytes, in the run's folder, of what the method prepares.
        prepared_memory: The same in each worker's own memory.
        tolerance: How far log-likelihoods of a known candidate may differ between workers, relative to their size
            where that is above 1; None follows from the mode of the search.
    """

    out_dtype: str = field(
        default="auto",
        metadata=setting(
            "what merged weights are rounded to; auto: what the reference model is stored in",
            choices=("auto", *PRECISIONS),
        ),
    )
    merge_dtype: str = field(
        default="float32",
        metadata=setting("what the inputs are read as; arithmetic is float32", choices=PRECISIONS),
    )
    prepared_disk: int = field(
        default=20_000_000_000,
        metadata=setting("most bytes, in the run's folder, of what methods prepare; 0: never there", form="bytes"),
    )
    prepared_memory: int = field(
        default=4_000_000_000,
        metadata=setting("most bytes of the same in each worker's memory, of what is not on disk", form="bytes"),
    )
    tolerance: float | None = field(
        default=None,
        metadata=setting(
            "how far a worker's log-likelihoods of a known candidate may be from the first worker's, 0.01 being 1 %; "
            "null: 0.01 between unlike machines with mode=asynchronous, else they are equal or the worker is refused",
            low=0.0,
            high=1.0,
        ),
    )
