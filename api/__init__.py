"""The REST surface: contract, errors, authentication, OpenAPI; knows `simulator`, never `sip`."""
