"""Products compared with the inventories of their servers."""
