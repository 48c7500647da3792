"""Documents written from the contracts: AsyncAPI, the page for readers, the table of topics."""
