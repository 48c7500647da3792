"""Anti-entropy: owners publish again what a reader of their topics never received (ADR 39)."""
