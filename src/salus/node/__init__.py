"""A running node: both of the paper's roles (validation and bookkeeping), on one ledger, one engine and one key directory."""
