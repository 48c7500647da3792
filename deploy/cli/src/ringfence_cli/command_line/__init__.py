"""The face of the `ringfence` command: lazy loading, help pages, usage errors, completion."""
