"""Seeded simulation of whole networks: virtual network, disks and clocks, faults, and checks after every step.

The same seed gives the same trace, byte for byte. ``salus sim`` runs many seeds and prints the command that replays a
failing one.
"""
