"""Makes pickled objects again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

    from ringloom import (
        Calibration,
        Explanation,
        IntNetwork,
        IntParams,
        MatrixPacking,
        Params,
    )

    _Explained: TypeAlias = tuple[
        Params,
        tuple[int, int, int],
        str,
        tuple[int, tuple[str, str]],
        tuple[int, int],
        tuple[int | None, float | None, int | None],
        str,
    ]


def restore(name: str, data: bytes, secure: bool) -> object:
    """The object of class `name` that wrote `data`; toy parameters stay insecure."""
    import ringloom

    from_bytes = getattr(ringloom, name).from_bytes
    return from_bytes(data) if secure else from_bytes(data, allow_insecure=True)


def int_params(name: str | None, bits: int) -> IntParams:
    """The set of this name; without one the toy set."""
    import ringloom

    params = ringloom.IntParams
    return params.insecure_toy(bits) if name is None else params.named(name)


def int_network(data: bytes, params: IntParams) -> IntNetwork:
    """The network that wrote `data`."""
    import ringloom

    return ringloom.IntNetwork.from_bytes(data, params)


def calibration(text: str) -> Calibration:
    """The calibration that this JSON holds."""
    import ringloom

    return ringloom.Calibration.from_json(text)


def explanation(of: _Explained) -> Explanation:
    """The explanation of these parts, with the plan pinned that it had chosen."""
    import ringloom

    params, shape, text, (count, sides), (level, log_scale), limits, choice = of
    memory, tolerance, uses = limits
    explained = ringloom.explain(
        params,
        shape,
        ringloom.Calibration.from_json(text),
        count=count,
        left=sides[0],
        right=sides[1],
        level=level,
        log_scale=log_scale,
        memory=memory,
        tolerance=tolerance,
        uses=uses,
    )
    return explained.pin(choice)


def packing(of: _Explained, left: bool) -> MatrixPacking:
    """How the chosen plan packs one of its sides."""
    explained = explanation(of)
    side = explained.left if left else explained.right
    assert side is not None, "a packing is that of an encrypted side"
    return side


def call(name: str, arguments: tuple[object, ...], options: dict[str, object]) -> object:
    """What the class or function `name` makes of these arguments."""
    import ringloom

    return getattr(ringloom, name)(*arguments, **options)


def method(
    owner: object, name: str, arguments: tuple[object, ...], options: dict[str, object]
) -> object:
    """What the method `name` of an object makes of these arguments."""
    return getattr(owner, name)(*arguments, **options)


def report(name: str, fields: tuple[object, ...]) -> object:
    """The report of class `name` with these fields."""
    import ringloom

    return getattr(ringloom, name)._from_fields(*fields)
