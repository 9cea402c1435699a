"""A demonstration network of the printed suite ``mbpa-2019``: FORGEABLE, one process, for study.

The embedded PBFT engine orders the printed transactions; everything else is :mod:`salus.consultation.published`. Services
accept no transaction of this suite: nothing outside this package and the demonstration runs it.
"""

from salus.network.printed.application import PrintedApplication
from salus.network.printed.audit import AuditReport, verify_export
from salus.network.printed.demo import run_printed_demo
from salus.network.printed.network import Committed, PrintedNetwork

__all__ = ["AuditReport", "Committed", "PrintedApplication", "PrintedNetwork", "run_printed_demo", "verify_export"]
