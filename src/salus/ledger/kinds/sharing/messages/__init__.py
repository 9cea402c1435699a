"""Messages of the kinds of sharing: what parties sign and submit; their checks and effects are in the modules above."""
