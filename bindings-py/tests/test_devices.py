"""What this machine has to compute on, and what it lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ringloom as rl


def test_devices_say_what_they_are() -> None:
    found = {device.name: device for device in rl.devices()}
    assert {"auto", "cpu", "cpu-scalar", "reference"} <= set(found)
    for name, device in found.items():
        assert device.kind in {"cpu", "reference", "opencl", "fpga"}
        assert name == "auto" or name.startswith(device.kind)
        assert device.parallelism >= 1
        assert device.transforms_per_second is None
        if device.kind == "opencl":
            assert device.memory_bytes is not None
            assert device.flavour.startswith(("GPU: ", "CPU: ", "accelerator: "))
            assert re.search(r"products in (32|64)-bit words", device.flavour)
    missing = rl.missing_devices()
    assert not set(missing) & set(found)
    assert set(missing) | set(found) >= {"cpu-avx2", "cpu-avx512ifma", "opencl", "fpga-csim"}


def listing(*args: str, **environment: str) -> str:
    command = [sys.executable, "-m", "ringloom", "devices", *args]
    env = {**os.environ, **environment}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_a_runtime_the_listing_says_what_to_install() -> None:
    """A loader that knows no driver, and a library that is no loader; each is timed, too."""
    printed = listing("--measure", OCL_ICD_VENDORS="/nonexistent/")
    assert "transforms/s" in printed
    here, _, missing = printed.partition("Not here:\n")
    assert "opencl" not in here
    assert "not available here, expected an OpenCL driver" in missing
    missing = listing(OPENCL_DYLIB_PATH="libc.so.6").partition("Not here:\n")[2]
    assert "ocl-icd-libopencl1" in missing
    assert "pocl-opencl-icd" in missing


def test_opening_without_a_runtime_is_an_error_that_says_what_to_do() -> None:
    lines = (
        "import ringloom as rl",
        "from ringloom.errors import DeviceUnavailableError",
        "params = rl.Params.insecure_toy(1)",
        "try:",
        "    rl.Session(params, rl.Client(params).keygen(rl.KeyRequest()), device='opencl')",
        "except DeviceUnavailableError as error:",
        "    print(error)",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    env = {**os.environ, "OCL_ICD_VENDORS": "/nonexistent/"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    for part in ("expected an OpenCL driver", "got a request for", "choose another device"):
        assert part in done.stdout


FALLBACK = """
import sys, warnings
import numpy as np
import ringloom as rl

x = np.array([0.5, -1.25, 2.0, 0.125])
params = rl.Params.insecure_toy(3)
client = rl.Client(params, threads=1)
keys = client.keygen(rl.KeyRequest().with_relinearisation(params.max_level))
encrypted = client.encrypt(x)


def compute(**place):
    session = rl.Session(params, keys, threads=1, **place)
    y = session.load(encrypted)
    z = (y * y).export()
    return session.device, z.to_bytes(), client.decrypt(z)


_, expected, _ = compute(device="cpu")
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    name, got, values = compute(device="opencl", fallback="cpu")
assert name == "opencl+cpu", name
assert got == expected
assert np.allclose(values, x * x, atol=1e-3)
for warning in told:
    assert warning.category is rl.errors.ReplayWarning, warning
    print(warning.filename, warning.message)
"""

# The OpenCL loader, with launches that fail after the first few.
FAILING_LOADER = """
#include <dlfcn.h>
#include <stdlib.h>

typedef int (*launch)(void *, void *, unsigned, const size_t *, const size_t *, const size_t *,
                      unsigned, void *const *, void **);

int clEnqueueNDRangeKernel(void *queue, void *kernel, unsigned dimensions, const size_t *offset,
                           const size_t *global, const size_t *local, unsigned waits,
                           void *const *list, void **event) {
    static int launches;
    if (launches++ >= atoi(getenv("LAUNCHES")))
        return -5;
    launch real = (launch)dlsym(dlopen("libOpenCL.so.1", RTLD_NOW), "clEnqueueNDRangeKernel");
    return real(queue, kernel, dimensions, offset, global, local, waits, list, event);
}
"""


@pytest.mark.skipif("opencl" in rl.missing_devices(), reason="no OpenCL device here")
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_what_a_lost_device_did_is_replayed_with_a_warning(tmp_path: Path) -> None:
    source, library = tmp_path / "failing.c", tmp_path / "failing.so"
    source.write_text(FAILING_LOADER)
    command = ["cc", "-shared", "-fPIC", "-Wl,--no-as-needed", str(source), "-o", str(library)]
    subprocess.run([*command, "-l:libOpenCL.so.1", "-ldl"], check=True)

    def run(launches: int) -> list[str]:
        env = {
            **os.environ,
            "OPENCL_DYLIB_PATH": str(library),
            "LAUNCHES": str(launches),
            "XDG_CACHE_HOME": str(tmp_path),
        }
        command = [sys.executable, "-c", FALLBACK]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    # As many as it wants: nothing fails, and the form of its products is on disk now.
    assert run(1 << 30) == []
    for launches in (0, 5):
        (line,) = run(launches)
        assert line.startswith("<string> "), line
        for part in (
            "opencl",
            "clEnqueueNDRangeKernel gave -5",
            "ran again on cpu, which goes on",
            "had lived on the failed device only",
            "words",
        ):
            assert part in line


def test_every_server_takes_a_fallback(program: rl.Program) -> None:
    places = {"device": "cpu", "fallback": "reference", "threads": 1}
    params = rl.Params.insecure_toy(1)
    client = rl.Client(params, threads=1)
    keys = client.keygen(rl.KeyRequest())
    session = rl.Session(params, keys, **places)
    assert session.device == "cpu+reference"
    x = np.array([0.5, 0.25])
    assert np.allclose(client.decrypt(session.load(client.encrypt(x)).export()), x, atol=1e-3)

    int_params = rl.IntParams.insecure_toy(4)
    int_client = rl.IntClient(int_params, threads=1)
    integers = rl.IntSession(int_params, int_client.keygen(progress=False), **places)
    assert integers.device == "cpu+reference"
    n = np.array([1, 3], dtype=np.uint8)
    doubled = 2 * integers.load(int_client.encrypt_int(n, bits=2))
    assert np.array_equal(int_client.decrypt_int(doubled.export()), 2 * n)

    owner = rl.Client(program.params, threads=1)
    server = rl.ModelServer(program, owner.keygen(program.key_request), **places)
    assert server.device == "cpu+reference"

    for wrong in ("gpu", "opencl:x", ""):
        with pytest.raises(rl.errors.UnknownDeviceError, match="cpu-scalar"):
            rl.Session(params, keys, device="cpu", fallback=wrong, threads=1)
    with pytest.raises(TypeError):
        rl.Session(params, keys, fallback=1)  # type: ignore[arg-type]
