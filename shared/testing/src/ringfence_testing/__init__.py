"""What tests of several services share: clocks, records, waiting for a condition."""
