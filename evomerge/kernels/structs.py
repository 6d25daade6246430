"""The structs of the C files in ``source``, field by field."""

from __future__ import annotations

import ctypes

Int, Long, Float = ctypes.c_int32, ctypes.c_int64, ctypes.c_float


class ArrayStruct(ctypes.Structure):
    """``array_t``."""

    _fields_ = [("data", ctypes.c_void_p), ("dtype", Int)]


class CutStruct(ctypes.Structure):
    """``cut_t``."""

    _fields_ = [("end", Long), ("bits", ctypes.c_uint32)]


class KeepStruct(ctypes.Structure):
    """``keep_t``."""

    _fields_ = [
        ("kind", Int),
        ("within", CutStruct),
        ("beyond", CutStruct),
        ("keys", ctypes.c_uint32 * 2),
        ("low", Float),
        ("step", Float),
        ("own", Int),
        ("first", Int),
        ("stop", Int),
        ("ranks", ctypes.c_void_p),
    ]


class ScoreStruct(ctypes.Structure):
    """``score_t``."""

    _fields_ = [("model", Int), ("low", Float), ("high", Float), ("stretch", Float)]


class ValuesStruct(ctypes.Structure):
    """``values_t``."""

    _fields_ = [
        ("kind", Int),
        ("n_models", Int),
        ("base", ArrayStruct),
        ("models", ctypes.POINTER(ArrayStruct)),
        ("score", ScoreStruct),
    ]


class PartStruct(ctypes.Structure):
    """``part_t``."""

    _fields_ = [
        ("model", ArrayStruct),
        ("keep", KeepStruct),
        ("weight", Float),
        ("vote", Float),
        ("share", Float),
        ("factor", Float),
    ]


class MixtureStruct(ctypes.Structure):
    """``mixture_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("tied", Long),
        ("signs", Long),
        ("broken", Long),
        ("out", ArrayStruct),
        ("base", ArrayStruct),
        ("parts", ctypes.POINTER(PartStruct)),
        ("n_parts", Int),
        ("elect", Int),
        ("divide", Int),
        ("counting", Int),
        ("scale", Float),
        ("tie", Float),
        ("select", ValuesStruct),
        ("selected", KeepStruct),
    ]


class RivalStruct(ctypes.Structure):
    """``rival_t``."""

    _fields_ = [("score", ScoreStruct), ("weight", Float), ("least", Float), ("stretch", Float)]


class BalanceStruct(ctypes.Structure):
    """``balance_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("broken", Long),
        ("out", ArrayStruct),
        ("base", ArrayStruct),
        ("models", ctypes.POINTER(ArrayStruct)),
        ("rivals", ctypes.POINTER(RivalStruct)),
        ("n_models", Int),
        ("n_rivals", Int),
        ("scale", Float),
    ]


class SumsStruct(ctypes.Structure):
    """``sums_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("sums", ctypes.c_void_p),
        ("of", ValuesStruct),
        ("keep", KeepStruct),
        ("left", ArrayStruct),
        ("right", ArrayStruct),
    ]


class SquaresStruct(ctypes.Structure):
    """``squares_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("sums", ctypes.c_void_p),
        ("of", ValuesStruct),
        ("select", ValuesStruct),
        ("selected", KeepStruct),
    ]


class HistogramStruct(ctypes.Structure):
    """``histogram_t``."""

    _fields_ = [
        ("next", ctypes.POINTER(Long)),
        ("numel", Long),
        ("of", ValuesStruct),
        ("limit", Int),
        ("shift", Int),
        ("slots", Int),
        ("used", Int),
        ("digits", ctypes.c_void_p),
        ("counts", ctypes.c_void_p),
    ]


class StretchStruct(ctypes.Structure):
    """``stretch_t``."""

    _fields_ = [
        ("next", ctypes.POINTER(Long)),
        ("numel", Long),
        ("of", ValuesStruct),
        ("first", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("counts", ctypes.c_void_p),
    ]


class StretchPlacesStruct(ctypes.Structure):
    """``stretch_places_t``."""

    _fields_ = [
        ("of", ValuesStruct),
        ("first", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("room", Long),
        ("found", Long),
        ("keys", ctypes.c_void_p),
        ("counts", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
    ]


class PlacesStruct(ctypes.Structure):
    """``places_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("stretches", ctypes.POINTER(StretchPlacesStruct)),
        ("n_stretches", Int),
    ]


class ChunksStruct(ctypes.Structure):
    """``chunks_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("of", ValuesStruct),
        ("digits", ctypes.c_void_p),
        ("n_digits", Int),
        ("counts", ctypes.c_void_p),
    ]


class EqualsStruct(ctypes.Structure):
    """``equals_t``."""

    _fields_ = [
        ("next", Long),
        ("numel", Long),
        ("found", Long),
        ("quota", Long),
        ("of", ValuesStruct),
        ("counts", ctypes.c_void_p),
        ("bits", ctypes.c_uint32),
    ]


class FiniteStruct(ctypes.Structure):
    """``finite_t``."""

    _fields_ = [("next", Long), ("numel", Long), ("broken", Long), ("of", ArrayStruct)]


class RanksStruct(ctypes.Structure):
    """``ranks_t``."""

    _fields_ = [
        ("next", Long),
        ("rows", Long),
        ("columns", Long),
        ("base", ArrayStruct),
        ("model", ArrayStruct),
        ("ranks", ctypes.c_void_p),
    ]
