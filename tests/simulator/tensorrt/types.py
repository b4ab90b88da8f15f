"""Element types, by the names of TensorRT."""

from __future__ import annotations

import enum


class DataType(enum.Enum):
    FLOAT = "float32"
    HALF = "float16"
    UINT8 = "uint8"
    INT8 = "int8"
    INT32 = "int32"
    INT64 = "int64"
    BOOL = "bool"
    BF16 = "bfloat16"
