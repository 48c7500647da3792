"""The demonstration: sample clients, the live view of `ringfence run`, and `ringfence demo`."""
