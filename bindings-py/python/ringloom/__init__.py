"""Computing on encrypted matrices.

A client holds the secret key; a server computes on what it cannot read.

| role | classes |
|---|---|
| both | `Params`, `KeyRequest`, `Ciphertext`, `PublicKey`, `EvaluationKeys`, `PublicProgram` |
| client | `Client`; `Encryptor` for those who only encrypt |
| server | `Session`, `Tensor`, `Weights`, `ModelServer` |
| exact integers | `IntParams`, `IntClient`, `IntSession`, `IntTensor`; `lut`, `relu` |
| the model's owner | `Sequential` and its layers, `from_sklearn`, `Program` |
"""

from __future__ import annotations

from ringloom import errors
from ringloom._native import (
    Activation,
    AvgPool2d,
    BatchNorm,
    Ciphertext,
    Client,
    Conv2d,
    DeviceInfo,
    EncryptedProgram,
    Encryptor,
    EvaluationKeys,
    FitReport,
    Flatten,
    IntCiphertext,
    IntClient,
    IntKeys,
    IntParams,
    IntSession,
    IntTensor,
    KeyRequest,
    Linear,
    MatMulPlan,
    MatrixCiphertext,
    MatrixTensor,
    MatVecPlan,
    ModelServer,
    Params,
    Prediction,
    Program,
    PublicKey,
    PublicProgram,
    SecurityReport,
    Sequential,
    Session,
    StepInfo,
    StepReport,
    Tensor,
    TransposePlan,
    Weights,
    align_levels,
    devices,
    lut,
    matmul_plan,
    matvec_plan,
    relu,
    transpose_plan,
)
from ringloom.errors import RingloomError
from ringloom.sklearn import from_sklearn

__all__ = [
    "Activation",
    "AvgPool2d",
    "BatchNorm",
    "Ciphertext",
    "Client",
    "Conv2d",
    "DeviceInfo",
    "EncryptedProgram",
    "Encryptor",
    "EvaluationKeys",
    "FitReport",
    "Flatten",
    "IntCiphertext",
    "IntClient",
    "IntKeys",
    "IntParams",
    "IntSession",
    "IntTensor",
    "KeyRequest",
    "Linear",
    "MatMulPlan",
    "MatVecPlan",
    "MatrixCiphertext",
    "MatrixTensor",
    "ModelServer",
    "Params",
    "Prediction",
    "Program",
    "PublicKey",
    "PublicProgram",
    "RingloomError",
    "SecurityReport",
    "Sequential",
    "Session",
    "StepInfo",
    "StepReport",
    "Tensor",
    "TransposePlan",
    "Weights",
    "align_levels",
    "devices",
    "errors",
    "from_sklearn",
    "lut",
    "matmul_plan",
    "matvec_plan",
    "relu",
    "transpose_plan",
]
