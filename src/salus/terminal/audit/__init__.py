"""What an owner shows an auditor: access logs that prove themselves complete, and the same as FHIR resources."""
