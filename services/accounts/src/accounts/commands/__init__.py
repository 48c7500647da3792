"""The `ringfence` commands of operators. They speak the REST API, as any other client of it."""
