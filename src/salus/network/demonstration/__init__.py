"""The demonstration: patients consult doctors over four replicas, then attacks are tried and shown refused."""

from salus.network.demonstration.run import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
