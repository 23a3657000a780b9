"""python tests/conformance list | producer NAME CHANNEL | consumer NAME CHANNEL: see tests/conformance/scenarios.txt."""

import sys

import batches
import buffers
import connecting
import device_channels
import devices
import frames
import lifetime
import metadata
import telling
import waiting

MODULES = [frames, metadata, batches, buffers, waiting, lifetime, connecting, devices, device_channels, telling]
"""Each has, for each scenario, a class of its name with `producer` and `consumer`."""

SCENARIOS = {
    name: scenario
    for module in MODULES
    for name, scenario in vars(module).items()
    if isinstance(scenario, type) and scenario.__module__ == module.__name__
}


def main(arguments: list[str]) -> int:
    match arguments:
        case ["list"]:
            print(*SCENARIOS, sep="\n")
        case ["producer" | "consumer" as role, name, channel] if name in SCENARIOS:
            getattr(SCENARIOS[name], role)(channel)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


sys.exit(main(sys.argv[1:]))
