"""`make chaos`: the whole product under faults, and an independent check afterwards."""
