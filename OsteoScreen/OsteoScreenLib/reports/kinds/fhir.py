"""fhir: a bundle of HL7 FHIR resources."""

from __future__ import annotations

from .registry import Output, OutputKind, writes

FILE = "fhir.json"


@writes({"fhir": OutputKind((FILE,), "HL7 FHIR R4, a DiagnosticReport with its Observations")})
def write_resources(output: Output) -> None:
    """Write the screening as a FHIR bundle."""
    from ..fhir import write_fhir

    write_fhir(output.screening.result, output.folder / FILE, output.written)
