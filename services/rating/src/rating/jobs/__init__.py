"""Jobs of operators: verification, re-rating, and another attempt to rate unrated calls."""
