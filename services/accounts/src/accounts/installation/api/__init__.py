"""Routes of servers, their inventory, and adopted elements."""
