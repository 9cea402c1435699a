"""How parties are put together: the embedded network, and the same parties as processes of their own."""
