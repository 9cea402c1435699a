"""The Type I and Type II games of the paper's section V.B, over both suites."""
