"""``python -m ringloom devices`` lists the devices of this machine."""

from __future__ import annotations

import argparse

import ringloom


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ringloom", description=ringloom.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("devices", help="list the devices of this machine")
    commands.add_parser("presets", help="list the named parameter sets with their security")
    command = parser.parse_args().command
    if command == "devices":
        for device in ringloom.devices():
            memory = "" if device.memory_bytes is None else f", {device.memory_bytes >> 20} MiB"
            where = f"{device.flavour}, {device.parallelism} in parallel{memory}"
            print(f"{device.name:<16} {where}")
    else:
        for name in ringloom.Params.presets():
            print(f"{name:<12} {ringloom.Params.preset(name).security_report()}")


if __name__ == "__main__":
    main()
