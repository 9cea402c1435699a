"""Agreement on the order of transactions: one interface, two engines."""
