"""Rate decks as carriers send them: layouts, columns, cells and codes. Pure."""
