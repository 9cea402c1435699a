"""Proven access logs as FHIR R4: Consent, AuditEvent and Provenance in one Bundle, with the parties they refer to.

Which resource stands for what: docs/auditing.md.
"""
