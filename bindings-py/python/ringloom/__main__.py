"""``python -m ringloom devices`` lists the devices of this machine."""

from __future__ import annotations

import argparse

import ringloom


def describe(device: ringloom.DeviceInfo) -> str:
    parts = [device.flavour, f"{device.parallelism} in parallel"]
    if device.memory_bytes is not None:
        parts.append(f"{device.memory_bytes >> 20} MiB")
    if device.transforms_per_second is not None:
        parts.append(f"{device.transforms_per_second:,.0f} transforms/s (2^13 words of 50 bits)")
    return ", ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ringloom", description=ringloom.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("devices", help="list the devices of this machine")
    listing.add_argument("--measure", action="store_true", help="time transforms on each")
    commands.add_parser("presets", help="list the named parameter sets with their security")
    args = parser.parse_args()
    if args.command == "devices":
        for device in ringloom.devices(measure=args.measure):
            print(f"{device.name:<16} {describe(device)}")
        missing = ringloom.missing_devices()
        if missing:
            print("Not here:")
        for name, why in missing.items():
            print(f"{name:<16} {why}")
    else:
        for name in ringloom.Params.presets():
            print(f"{name:<12} {ringloom.Params.preset(name).security_report()}")


if __name__ == "__main__":
    main()
