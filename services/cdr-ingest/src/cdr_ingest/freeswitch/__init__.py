"""Call records that FreeSWITCH's CDR modules post: pure."""
