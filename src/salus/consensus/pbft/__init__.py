"""Engine 1: PBFT (Castro and Liskov, OSDI 1999) for replicas that each keep their own storage.

``messages`` what replicas send; ``records`` what they keep; ``events`` what goes into and comes out of a replica;
``replica`` the protocol as a function (state, event) -> (state, actions), in the parts ``normal``, ``view_change``,
``checkpoints``, ``catch_up``, ``snapshots``, ``pool`` and ``evidence``; ``durable`` the log on disk; ``runner`` one
replica with its log and application; ``driver`` all replicas of an embedded network.
"""
