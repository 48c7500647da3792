"""Who is suspended, what that switches on a server, and what came of it: pure."""
