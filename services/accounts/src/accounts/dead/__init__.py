"""Dead records of all services: what could not be processed, and what is done with it."""
