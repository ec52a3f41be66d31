"""Networks from fitted scikit-learn models. scikit-learn itself is not imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ringloom._native import Activation, Linear, Sequential
from ringloom.errors import ShapeError, UnknownNameError

#: scikit-learn's names of hidden activations, and ours.
NAMES = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


def from_sklearn(
    model: Any,
    *,
    activation: str | Callable[[float], float] | None = None,
    degree: int = 15,
) -> Sequential:
    """The layers of a fitted `MLPClassifier` or `MLPRegressor`.

    `activation` replaces the model's own; `degree` is that of its polynomial. Outputs are those of
    the last matrix: a classifier's logits, without softmax or logistic function, whose order is
    that of `model.classes_`.
    """
    coefs, intercepts = (getattr(model, name, None) for name in ("coefs_", "intercepts_"))
    if coefs is None or intercepts is None:
        raise TypeError(
            "from_sklearn: not a fitted network, expected an MLPClassifier or MLPRegressor after "
            f"fit, got {type(model).__name__}; fit it first"
        )
    if len(coefs) != len(intercepts) or not coefs:
        raise ShapeError(
            f"from_sklearn: layers do not fit, expected a bias per matrix, got {len(coefs)} "
            f"matrices and {len(intercepts)} biases; fit the model again"
        )
    if activation is None:
        if model.activation not in NAMES:
            raise UnknownNameError(
                f"from_sklearn: unknown activation {model.activation!r}, expected one of "
                f"{', '.join(NAMES)}; pass activation= with a function"
            )
        activation = NAMES[model.activation]
    layers: list[Linear | Activation] = []
    for weights, bias in zip(coefs, intercepts, strict=True):
        if layers and activation != "identity":
            layers.append(Activation(activation, degree=degree))
        layers.append(Linear(np.asarray(weights).T, bias))
    return Sequential(layers)
