"""What notifier and accounts share about mail: addresses, links to unsubscribe."""
