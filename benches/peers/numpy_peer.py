"""numpy's float64 product beside ours: the same shapes, nothing encrypted."""

from __future__ import annotations

import os

import serve

# They choose kernels for other processors than this one; a current OpenBLAS knows better.
for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(variable, None)


def prepare(name: str, threads: int, smoke: bool) -> serve.Case:
    import numpy as np
    import threadpoolctl

    # A batch is `<count>x<size>`; what follows an underscore names a way of ours.
    op, last = name.split("/")[-2:]
    size, _, width = last.partition("_")[0].partition("x")
    count, size, width = (size, width, width) if op == "cc_mm_batch" else ("1", size, width)
    shape = (32, 40) if smoke else (int(size), int(width or size))
    batch = 8 if smoke and int(count) > 1 else int(count)
    source = np.random.default_rng(1)
    a = source.uniform(-0.49, 0.49, (batch, shape[0], shape[0]))
    b = source.uniform(-1, 1, (batch, shape[0], shape[1]))
    if batch == 1:
        a, b = a[0], b[0]
    limit = threadpoolctl.threadpool_limits(threads)
    blas = ", ".join(
        f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}"
        for pool in threadpoolctl.threadpool_info()
    )

    def call():
        with limit:
            return a @ b

    def error(got) -> float:
        rows = slice(0, shape[0], max(1, shape[0] // 16))
        want = np.einsum("...ij,...jk->...ik", a[..., rows, :], b)
        return float(np.abs(got[..., rows, :] - want).max())

    facts = {"n": 0, "limbs": 0, "log_qp": 0, "tolerance": 1e-9, "note": f"in the clear; {blas}"}
    return serve.Case(facts, call, error)


def numpy_version() -> str:
    import numpy

    return numpy.__version__


if __name__ == "__main__":
    serve.serve(numpy_version, prepare)
