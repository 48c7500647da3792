"""Routes for servers, their inventory, and adopted elements."""
