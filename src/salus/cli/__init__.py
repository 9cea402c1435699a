"""The program ``salus``: what people do with a network, as commands."""
