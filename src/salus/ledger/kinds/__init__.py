"""Transaction kinds: one module each, with its checks, its effect and its state keys."""
