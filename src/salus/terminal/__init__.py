"""A member's terminal: the wallet, and what patients, doctors and institutions do with it."""
