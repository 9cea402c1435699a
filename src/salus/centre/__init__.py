"""The trusted centre: enrolment, partial keys, credentials, revocation, and tracing that a quorum has approved."""
