"""Makes pickled objects again."""

from __future__ import annotations


def restore(name: str, data: bytes, secure: bool) -> object:
    """The object of class `name` that wrote `data`; toy parameters stay insecure."""
    import ringloom

    from_bytes = getattr(ringloom, name).from_bytes
    return from_bytes(data) if secure else from_bytes(data, allow_insecure=True)
