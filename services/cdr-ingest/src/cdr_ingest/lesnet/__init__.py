"""CDR files of Les.net, and the prepaid balance of the account there."""
