"""Mail addresses and unsubscribe links, shared by notifier and accounts."""
