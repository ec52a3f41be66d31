"""What this machine has to compute on, and what it lacks."""

from __future__ import annotations

import os
import subprocess
import sys

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
            assert "products in " in device.flavour
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
