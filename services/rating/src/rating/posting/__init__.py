"""From a batch of records to ledger entries and the events that they cause."""
