"""What a node keeps on disk: blocks, the newest state, the log's leaves, where transactions stand."""
